#include "Messages.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>

namespace mpopt::runtime {
namespace {

const plan::Program &programAt(const plan::Plan &plan, size_t number) {
  return *plan.programs()->Get(static_cast<flatbuffers::uoffset_t>(number));
}
uint32_t countOf(const plan::Program &program) { return program.instructions() ? program.instructions()->size() : 0; }

bool overlap(const plan::Buffer &a, const plan::Buffer &b) {
  return a.space() == b.space() && a.offset() < b.offset() + b.bytes() && b.offset() < a.offset() + a.bytes();
}

/// Sends whose payload nobody has overwritten yet, while instructions are gone through.
class OpenSends {
public:
  explicit OpenSends(const plan::Program &program) : program(program) {}

  void add(uint32_t instruction) { open.push_back(instruction); }
  /// Takes out those that `instruction` overwrites.
  void close(uint32_t instruction, std::vector<uint32_t> &closed) {
    const auto *writes = program.instructions()->Get(instruction)->writes();
    for (size_t w = 0; writes && w < writes->size(); ++w)
      closeWhere(buffer(writes->Get(static_cast<flatbuffers::uoffset_t>(w))), closed);
  }
  void closeWhere(const plan::Buffer &written, std::vector<uint32_t> &closed) {
    std::erase_if(open, [&](uint32_t send) {
      bool hit = overlap(buffer(program.instructions()->Get(send)->reads()->Get(0)), written);
      if (hit)
        closed.push_back(send);
      return hit;
    });
  }
  void closeAll(std::vector<uint32_t> &closed) { closed.insert(closed.end(), open.begin(), open.end()); }
  bool empty() const { return open.empty(); }

private:
  const plan::Buffer &buffer(uint32_t index) const { return *program.buffers()->Get(index); }

  const plan::Program &program;
  std::vector<uint32_t> open;
};

/// Closes what uploads of the next step overwrite.
void closeInputs(const plan::Plan &plan, size_t number, OpenSends &open, std::vector<uint32_t> &closed) {
  if (!plan.inputs())
    return;
  size_t ranks = plan.ranks()->size();
  for (const plan::Port *port : *plan.inputs())
    for (flatbuffers::uoffset_t slot = 0; slot < port->buffers()->size(); ++slot)
      if (int32_t held = port->buffers()->Get(slot);
          held >= 0 && plan.ranks()->Get(static_cast<flatbuffers::uoffset_t>(slot % ranks))->program() == number)
        open.closeWhere(*programAt(plan, number).buffers()->Get(static_cast<flatbuffers::uoffset_t>(held)), closed);
}

} // namespace

std::vector<Partner> partnersOf(const plan::Plan &plan, uint32_t rank, const plan::Instruction &instruction) {
  const plan::Send *send = instruction.op_as_Send();
  const plan::Recv *recv = instruction.op_as_Recv();
  if (!send && !recv)
    return {};
  int32_t transfer = send ? send->transfer() : recv->transfer();
  if (transfer < 0)
    return {{rank + static_cast<uint32_t>(send ? send->distance() : recv->distance()), nullptr}};
  std::vector<Partner> partners;
  if (const auto *pieces = plan.transfers()->Get(static_cast<flatbuffers::uoffset_t>(transfer))->pieces())
    for (const plan::Piece *piece : *pieces)
      if ((send ? piece->from() : piece->to()) == rank)
        partners.push_back({send ? piece->to() : piece->from(), piece});
  return partners;
}

std::vector<std::vector<uint32_t>> sendsDoneBefore(const plan::Plan &plan, size_t number) {
  const plan::Program &program = programAt(plan, number);
  uint32_t count = countOf(program);
  std::vector<std::vector<uint32_t>> done(count + 1);
  OpenSends open(program);
  for (uint32_t i = 0; i < count; ++i) {
    open.close(i, done[i]);
    if (program.instructions()->Get(i)->op_type() == plan::Op::Send)
      open.add(i);
  }
  if (plan.streams() && !open.empty()) {
    closeInputs(plan, number, open, done[count]);
    for (uint32_t i = 0; i < count && !open.empty(); ++i)
      open.close(i, done[i]);
  }
  open.closeAll(done[count]);
  return done;
}

namespace {

/// What a rank may wait for.
struct Wait {
  enum Kind : uint8_t { Send, SendDone, Recv, Meet } kind;
  uint32_t instruction; // that is named in errors
  uint32_t at;          // the place in the program
};

std::vector<Wait> waitsOf(const plan::Plan &plan, size_t number) {
  const plan::Program &program = programAt(plan, number);
  auto done = sendsDoneBefore(plan, number);
  std::vector<Wait> waits;
  for (uint32_t i = 0; i <= countOf(program); ++i) {
    for (uint32_t send : done[i])
      if (send < i) // the others belong to the step before
        waits.push_back({Wait::SendDone, send, i});
    if (i == countOf(program))
      break;
    plan::Op type = program.instructions()->Get(i)->op_type();
    if (type == plan::Op::Send || type == plan::Op::Recv)
      waits.push_back({type == plan::Op::Send ? Wait::Send : Wait::Recv, i, i});
    if (type == plan::Op::Collective)
      waits.push_back({Wait::Meet, i, i});
  }
  return waits;
}

class Simulation {
public:
  explicit Simulation(const plan::Plan &plan) : plan(plan), at(plan.ranks()->size()), queued(at.size()) {
    for (size_t number = 0; number < plan.programs()->size(); ++number)
      waits.push_back(waitsOf(plan, number));
    groups.resize(plan.group_sets() ? plan.group_sets()->size() : 0);
    for (flatbuffers::uoffset_t set = 0; set < groups.size(); ++set)
      if (const auto *list = plan.group_sets()->Get(set)->groups())
        for (flatbuffers::uoffset_t group = 0; group < list->size(); ++group)
          for (uint32_t rank : *list->Get(group)->ranks())
            groups[set][rank] = group;
  }

  Status run() {
    for (uint32_t rank = 0; rank < at.size(); ++rank)
      wake(rank);
    for (size_t next = 0; next < queue.size(); ++next) {
      queued[queue[next]] = false;
      advance(queue[next]);
    }
    for (uint32_t rank = 0; rank < at.size(); ++rank)
      if (at[rank] < listOf(rank).size())
        return error(describe(rank, listOf(rank)[at[rank]]));
    return {};
  }

private:
  struct Channel {
    bool sent = false, taken = false;
  };
  /// A rank's meetings in one group set.
  struct Meetings {
    size_t count = 0;
    bool waiting = false; // in the latest
  };

  const std::vector<Wait> &listOf(uint32_t rank) const { return waits[plan.ranks()->Get(rank)->program()]; }
  const plan::Instruction &instructionOf(uint32_t rank, uint32_t number) const {
    return *programAt(plan, plan.ranks()->Get(rank)->program()).instructions()->Get(number);
  }

  void wake(uint32_t rank) {
    if (rank >= at.size() || queued[rank])
      return;
    queued[rank] = true;
    queue.push_back(rank);
  }

  void advance(uint32_t rank) {
    while (at[rank] < listOf(rank).size() && pass(rank, listOf(rank)[at[rank]]))
      ++at[rank];
  }

  /// Whether the rank gets past what may hold it; what it does there may free others.
  bool pass(uint32_t rank, const Wait &wait) {
    const plan::Instruction &instruction = instructionOf(rank, wait.instruction);
    if (wait.kind == Wait::Meet)
      return meet(rank, *instruction.op_as_Collective());
    std::vector<Partner> partners = partnersOf(plan, rank, instruction);
    if (missing(rank, wait, partners))
      return false;
    for (const Partner &partner : partners)
      if (wait.kind != Wait::SendDone) {
        Channel &channel = channelOf(rank, partner.rank, instruction);
        (wait.kind == Wait::Send ? channel.sent : channel.taken) = true;
        wake(partner.rank);
      }
    return true;
  }

  Channel &channelOf(uint32_t rank, uint32_t partner, const plan::Instruction &instruction) {
    if (const plan::Send *send = instruction.op_as_Send())
      return channels[{rank, partner, send->tag()}];
    return channels[{partner, rank, instruction.op_as_Recv()->tag()}];
  }

  /// The first partner that has not yet sent or taken what the rank waits for; null where none holds it.
  const Partner *missing(uint32_t rank, const Wait &wait, const std::vector<Partner> &partners) {
    for (const Partner &partner : partners) {
      const Channel &channel = channelOf(rank, partner.rank, instructionOf(rank, wait.instruction));
      if ((wait.kind == Wait::Recv && !channel.sent) || (wait.kind == Wait::SendDone && !channel.taken))
        return &partner;
    }
    return nullptr;
  }

  /// The last to arrive frees the others; each passes once as many have arrived as make up its number of meetings.
  bool meet(uint32_t rank, const plan::Collective &call) {
    auto found = groups[call.group_set()].find(rank);
    if (found == groups[call.group_set()].end())
      return false;
    const plan::GroupSet &set = *plan.group_sets()->Get(call.group_set());
    const auto &members = *set.groups()->Get(found->second)->ranks();
    size_t &all = arrivals[{call.group_set(), found->second}];
    Meetings &own = meetings[{call.group_set(), rank}];
    if (!own.waiting) {
      own = {own.count + 1, true};
      if (++all == own.count * members.size())
        for (uint32_t member : members)
          wake(member);
    }
    own.waiting = all < own.count * members.size();
    return !own.waiting;
  }

  std::string describe(uint32_t rank, const Wait &wait) {
    const plan::Instruction &instruction = instructionOf(rank, wait.instruction);
    uint32_t number = instruction.node();
    std::string node = number > 0 && plan.names() && number < plan.names()->size()
                           ? " (node " + plan.names()->Get(number)->str() + ")"
                           : "";
    std::string place = "#" + std::to_string(wait.instruction) + node;
    std::string who = "rank " + std::to_string(rank) + " would wait forever ";
    if (wait.kind == Wait::Meet)
      return who + "in collective" + place;
    std::vector<Partner> partners = partnersOf(plan, rank, instruction);
    const Partner *held = missing(rank, wait, partners);
    std::string peer = held ? std::to_string(held->rank) : "?";
    if (wait.kind == Wait::SendDone)
      return who + "for rank " + peer + " to receive what send" + place + " sends";
    return who + "in recv" + place + " for rank " + peer;
  }

  const plan::Plan &plan;
  std::vector<size_t> at; // per rank: the place in its list
  std::vector<bool> queued;
  std::vector<uint32_t> queue;                                // ranks that may get on
  std::vector<std::vector<Wait>> waits;                       // per program
  std::vector<std::unordered_map<uint32_t, uint32_t>> groups; // per set: rank -> group
  std::map<std::tuple<uint32_t, uint32_t, uint32_t>, Channel> channels;
  std::map<std::pair<uint32_t, uint32_t>, size_t> arrivals;   // per set and group
  std::map<std::pair<uint32_t, uint32_t>, Meetings> meetings; // per set and rank
};

} // namespace

Status verifyProgress(const plan::Plan &plan) { return Simulation(plan).run(); }

} // namespace mpopt::runtime
