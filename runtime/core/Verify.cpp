#include "core/Verify.h"
#include "core/VerifyAlignment.h"
#include "core/VerifyCollective.h"
#include "format/Messages.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace mpopt::runtime {
namespace {

constexpr size_t kMaxRank = 16;     // dimensions of a tensor
constexpr size_t kMaxRanks = 4096;  // devices of a plan
constexpr uint64_t kAlignment = 64; // of buffers and weights
constexpr uint64_t kMaxArena = uint64_t(1) << 46;

class PlanVerifier {
public:
  explicit PlanVerifier(const plan::Plan &plan) : plan(plan) {}

  Status run() {
    verifyFrame();
    for (size_t set = 0; ok() && set < items(plan.group_sets()).size(); ++set)
      verifyGroupSet(set);
    for (size_t program = 0; ok() && program < items(plan.programs()).size(); ++program)
      verifyProgram(program);
    for (size_t rank = 0; ok() && rank < items(plan.ranks()).size(); ++rank)
      verifyRank(rank);
    if (ok() && !messages.empty())
      verifyMessages();
    if (ok())
      verifyPorts(items(plan.inputs()), "input", true);
    if (ok())
      verifyPorts(items(plan.outputs()), "output", false);
    if (ok())
      if (Status status = verifyProgress(plan); !status)
        expect(false, status.error().message);
    if (ok())
      return {};
    return error("the plan is not valid: " + problem);
  }

private:
  bool ok() const { return problem.empty(); }
  /// Keeps the first problem; returns `condition`.
  bool expect(bool condition, const std::string &what) {
    if (!condition && problem.empty())
      problem = where + what;
    return condition;
  }

  void verifyFrame() {
    if (!expect(isAligned(plan), "some of its numbers are not aligned"))
      return;
    expect(text(plan.target()) == "cpu", "its target '" + std::string(text(plan.target())) + "' is unknown");
    expect(items(plan.ranks()).size() > 0, "it has no ranks");
    expect(items(plan.ranks()).size() <= kMaxRanks, "it has more than " + std::to_string(kMaxRanks) + " ranks");
    for (const plan::Rank *rank : items(plan.ranks()))
      expect(rank->program() < items(plan.programs()).size(), "a rank's program does not exist");
    expect(items(plan.names()).size() > 0, "it has no names");
    expect(text(plan.weights_file()).empty() || isSafePath(text(plan.weights_file())),
           "its weights file '" + std::string(text(plan.weights_file())) + "' is outside its folder");
    expect(items(plan.kernels()).size() == 0 || numbers(plan.elf()).size() > 0, "it has kernels but no code");
    for (const plan::Source *source : items(plan.sources())) {
      expect(isSafePath(text(source->file())), "its source '" + source->file()->str() + "' is outside its folder");
      expect(source->offset() + source->bytes() >= source->offset(),
             "its source '" + source->file()->str() + "' is too long");
    }
  }

  void verifyGroupSet(size_t number) {
    where = "group set " + std::to_string(number) + ": ";
    std::set<uint32_t> seen;
    for (const plan::Group *group : items(items(plan.group_sets())[number]->groups())) {
      expect(numbers(group->ranks()).size() > 0, "a group is empty");
      for (uint32_t rank : numbers(group->ranks())) {
        expect(rank < items(plan.ranks()).size(), "rank " + std::to_string(rank) + " does not exist");
        expect(seen.insert(rank).second, "rank " + std::to_string(rank) + " is in it twice");
      }
    }
    where.clear();
  }

  void verifyProgram(size_t number) {
    program = items(plan.programs())[number];
    programNumber = number;
    std::string name = "program " + std::to_string(number) + ", ";
    expect(program->work_bytes() <= kMaxArena, name + "its work area is too large");
    auto buffers = items(program->buffers());
    for (size_t i = 0; ok() && i < buffers.size(); ++i) {
      where = name + "buffer " + std::to_string(i) + ": ";
      verifyBuffer(*buffers[i]);
    }
    nextSequence = 0;
    for (bool init : {true, false}) {
      auto list = items(init ? program->init() : program->instructions());
      for (size_t i = 0; ok() && i < list.size(); ++i) {
        where = name + (init ? "init instruction " + std::to_string(i) : describe(plan, *program, i)) + ": ";
        verifyInstruction(*list[i], i, init, list);
      }
    }
    where.clear();
  }

  void verifyBuffer(const plan::Buffer &buffer) {
    auto count = elementCount(numbers(buffer.shape()));
    auto bytes = count ? checkedMultiply(*count, sizeOf(buffer.dtype())) : std::nullopt;
    expect(sizeOf(buffer.dtype()) > 0, "its element type is unknown");
    expect(numbers(buffer.shape()).size() <= kMaxRank, "it has too many dimensions");
    if (!expect(bytes && *bytes <= buffer.bytes(),
                "its shape does not fit its " + std::to_string(buffer.bytes()) + " bytes"))
      return;
    switch (buffer.space()) {
    case plan::Space::work:
      expect(buffer.offset() % kAlignment == 0, "its offset is no multiple of 64");
      expect(buffer.offset() <= program->work_bytes() && buffer.bytes() <= program->work_bytes() - buffer.offset(),
             "it lies outside the work area");
      break;
    case plan::Space::weights:
      expect(buffer.offset() < (uint64_t(1) << 32), "its weight does not exist");
      break;
    case plan::Space::source:
      expect(buffer.offset() < items(plan.sources()).size(), "its source does not exist");
      expect(!ok() || buffer.bytes() <= items(plan.sources())[buffer.offset()]->bytes(),
             "it is larger than its source");
      break;
    default:
      expect(false, "its space is unknown");
    }
  }

  const plan::Buffer &buffer(uint32_t index) const { return *items(program->buffers())[index]; }

  void verifyInstruction(const plan::Instruction &instruction, size_t index, bool init,
                         Items<flatbuffers::Offset<plan::Instruction>> list) {
    expect(instruction.node() < items(plan.names()).size(), "its node does not exist");
    for (uint32_t other : numbers(instruction.other_nodes()))
      expect(other < items(plan.names()).size(), "one of its nodes does not exist");
    expect(instruction.stream() < 2, "its stream does not exist");
    for (uint32_t wait : numbers(instruction.waits()))
      expect(wait < index && list[wait]->stream() != instruction.stream(),
             "it waits for no earlier instruction of another stream");
    for (auto operands : {numbers(instruction.reads()), numbers(instruction.writes())})
      for (uint32_t operand : operands)
        expect(operand < items(program->buffers()).size(), "buffer " + std::to_string(operand) + " does not exist");
    if (!ok())
      return;
    for (uint32_t read : numbers(instruction.reads()))
      expect(init || buffer(read).space() != plan::Space::source,
             "it reads a source, which only init instructions may");
    for (uint32_t write : numbers(instruction.writes()))
      expect(buffer(write).space() == plan::Space::work || (init && buffer(write).space() == plan::Space::weights),
             "it writes what is read-only");
    if (ok())
      verifyOp(instruction, init);
  }

  void verifyOp(const plan::Instruction &instruction, bool init) {
    auto reads = numbers(instruction.reads()), writes = numbers(instruction.writes());
    switch (instruction.op_type()) {
    case plan::Op::KernelCall:
      expect(instruction.op_as_KernelCall()->kernel() < items(plan.kernels()).size(), "its kernel does not exist");
      break;
    case plan::Op::Copy:
      expect(reads.size() == 1 && writes.size() == 1, "it needs one operand and one result");
      expect(!ok() || buffer(writes[0]).bytes() <= buffer(reads[0]).bytes(), "its result is larger than its operand");
      break;
    case plan::Op::Collective:
      expect(!init, "it communicates, which init instructions may not");
      if (ok())
        verifyCollective(*instruction.op_as_Collective(), reads, writes);
      break;
    case plan::Op::Send:
    case plan::Op::Recv:
      expect(!init, "it communicates, which init instructions may not");
      if (ok())
        verifyMessage(instruction, reads, writes);
      break;
    default:
      expect(false, "its kind is unknown");
    }
  }

  static bool overlap(const plan::Buffer &a, const plan::Buffer &b) {
    return a.space() == b.space() && a.offset() < b.offset() + b.bytes() && b.offset() < a.offset() + a.bytes();
  }

  void verifyCollective(const plan::Collective &call, std::span<const uint32_t> reads,
                        std::span<const uint32_t> writes) {
    bool routed = isRouted(call.kind());
    if (!expect(reads.size() == (routed ? 2 : 1) && writes.size() == 1,
                routed ? "it needs an operand, indices and one result" : "it needs one operand and one result") ||
        !expect(call.group_set() < items(plan.group_sets()).size(), "its groups do not exist"))
      return;
    const plan::Buffer &source = buffer(reads[0]), &result = buffer(writes[0]);
    expect(source.dtype() == result.dtype(), "its operand and its result differ in element type");
    bool same = source.space() == result.space() && source.offset() == result.offset();
    expect(!overlap(source, result) || (same && call.kind() == plan::CollectiveKind::all_reduce),
           "its operand and its result share memory");
    if (routed)
      verifyIndices(buffer(reads[1]), result);
    expect(call.sequence() == nextSequence++, "its sequence number is out of order");
    size_t covered = 0;
    for (const plan::Group *group : items(items(plan.group_sets())[call.group_set()]->groups())) {
      size_t mine = std::ranges::count_if(numbers(group->ranks()),
                                          [&](uint32_t rank) { return programOf(rank) == programNumber; });
      if (mine == 0)
        continue;
      expect(mine == numbers(group->ranks()).size(), "a group holds ranks of several programs");
      covered += mine;
      std::string why = routed ? checkRouted(call, numbers(source.shape()), numbers(buffer(reads[1]).shape()),
                                             numbers(result.shape()), mine)
                               : checkCollective(call, numbers(source.shape()), numbers(result.shape()), mine);
      expect(why.empty(), why);
    }
    expect(covered == ranksOf(programNumber), "its groups do not hold every rank");
  }

  void verifyIndices(const plan::Buffer &indices, const plan::Buffer &result) {
    expect(indices.dtype() == plan::DType::i64, "its indices are no i64");
    expect(!overlap(indices, result), "its indices and its result share memory");
  }

  size_t programOf(uint32_t rank) const { return items(plan.ranks())[rank]->program(); }
  size_t ranksOf(size_t number) const {
    return std::ranges::count_if(items(plan.ranks()),
                                 [&](const plan::Rank *rank) { return rank->program() == number; });
  }

  /// Keeps each send and receive of each rank for verifyMessages.
  void verifyMessage(const plan::Instruction &instruction, std::span<const uint32_t> reads,
                     std::span<const uint32_t> writes) {
    const plan::Send *send = instruction.op_as_Send();
    const plan::Recv *recv = instruction.op_as_Recv();
    int32_t distance = send ? send->distance() : recv->distance(),
            transfer = send ? send->transfer() : recv->transfer();
    uint32_t tag = send ? send->tag() : recv->tag();
    if (!expect(send ? reads.size() == 1 && writes.empty() : writes.size() == 1 && reads.empty(),
                "it needs one buffer"))
      return;
    const plan::Buffer &payload = buffer(send ? reads[0] : writes[0]);
    expect(payload.space() == plan::Space::work, "its payload is not in the work area");
    if (transfer >= 0)
      verifyTransfer(static_cast<size_t>(transfer), payload, send != nullptr);
    else
      verifyDistance(distance);
    for (uint32_t rank = 0; ok() && rank < items(plan.ranks()).size(); ++rank)
      if (programOf(rank) == programNumber)
        for (const Partner &partner : partnersOf(plan, rank, instruction)) {
          auto key = send ? std::tuple(rank, partner.rank, tag) : std::tuple(partner.rank, rank, tag);
          Message &message = messages[key];
          (send ? message.sent : message.received) += 1;
          (send ? message.sentAs : message.receivedAs) = transfer;
          (send ? message.sentBytes : message.receivedBytes) =
              partner.piece ? *elementCount(numbers(partner.piece->size())) * sizeOf(payload.dtype()) : payload.bytes();
        }
  }

  void verifyDistance(int32_t distance) {
    expect(distance != 0, "it talks to itself");
    for (uint32_t rank = 0; rank < items(plan.ranks()).size(); ++rank)
      expect(programOf(rank) != programNumber || peerOf(plan, rank, distance),
             "the peer of rank " + std::to_string(rank) + " does not exist");
  }

  /// That all pieces between a program's ranks and others lie within the payload.
  void verifyTransfer(size_t number, const plan::Buffer &payload, bool sends) {
    if (!expect(number < items(plan.transfers()).size(), "its transfer does not exist"))
      return;
    const plan::Transfer &transfer = *items(plan.transfers())[number];
    auto local = numbers(payload.shape());
    expect(!sends || std::ranges::equal(numbers(transfer.shape()), local), "its payload has another shape");
    std::set<std::pair<uint32_t, uint32_t>> seen;
    for (const plan::Piece *piece : items(transfer.pieces())) {
      size_t ranks = items(plan.ranks()).size();
      if (!expect(piece->from() < ranks && piece->to() < ranks, "a piece's rank does not exist"))
        return;
      expect(programOf(piece->from()) != programOf(piece->to()), "it talks to its own program");
      expect(seen.emplace(piece->from(), piece->to()).second, "two pieces pass between two ranks");
      if (programOf(sends ? piece->from() : piece->to()) == programNumber)
        verifyPiece(sends ? numbers(piece->source()) : numbers(piece->target()), numbers(piece->size()), local);
      // Of the other end only that the numbers can be read: its own instruction is verified, too.
      expect(numbers(piece->source()).size() == local.size() && numbers(piece->target()).size() == local.size() &&
                 numbers(transfer.shape()).size() == local.size(),
             "a piece has another number of dimensions");
    }
  }

  void verifyPiece(std::span<const int64_t> start, std::span<const int64_t> size, std::span<const int64_t> local) {
    if (!expect(start.size() == local.size() && size.size() == local.size(),
                "a piece has another number of dimensions"))
      return;
    for (size_t i = 0; i < local.size(); ++i)
      expect(start[i] >= 0 && size[i] > 0 && start[i] <= local[i] && size[i] <= local[i] - start[i],
             "a piece lies outside its payload");
  }

  void verifyMessages() {
    for (const auto &[key, message] : messages)
      expect(message.sent == 1 && message.received == 1 && message.sentBytes == message.receivedBytes &&
                 message.sentAs == message.receivedAs,
             "the message with tag " + std::to_string(std::get<2>(key)) + " from rank " +
                 std::to_string(std::get<0>(key)) + " to rank " + std::to_string(std::get<1>(key)) +
                 " is not sent and received once, with equal bytes and the same transfer");
  }

  void verifyRank(size_t number) {
    const plan::Rank &rank = *items(plan.ranks())[number];
    where = "rank " + std::to_string(number) + ": ";
    const plan::Program &mine = *items(plan.programs())[rank.program()];
    auto weights = items(rank.weights());
    std::vector<bool> made = weightsWrittenByInit(mine, weights.size());
    for (size_t i = 0; i < weights.size(); ++i) {
      const plan::WeightSlice &slice = *weights[i];
      expect(slice.bytes() <= kMaxArena, "weight " + std::to_string(i) + " is too large");
      expect(made[i] || slice.bytes() == 0 ||
                 (slice.offset() % kAlignment == 0 && slice.offset() <= plan.weights_bytes() &&
                  slice.bytes() <= plan.weights_bytes() - slice.offset() && !text(plan.weights_file()).empty()),
             "weight " + std::to_string(i) + " lies outside the weights file");
    }
    for (const plan::Buffer *buffer : items(mine.buffers()))
      if (buffer->space() == plan::Space::weights)
        expect(buffer->offset() < weights.size() && buffer->bytes() <= weights[buffer->offset()]->bytes(),
               "a buffer is larger than its weight, or its weight does not exist");
    if (!ok())
      return;
    for (const plan::Instruction *instruction : items(mine.instructions()))
      if (instruction->op_type() == plan::Op::Collective) {
        const plan::Buffer &source = *items(mine.buffers())[numbers(instruction->reads())[0]];
        expect(source.space() == plan::Space::work || !made[source.offset()],
               "a collective reads what init instructions wrote");
      }
    where.clear();
  }

  void verifyPorts(Items<flatbuffers::Offset<plan::Port>> ports, const std::string &what, bool isInput) {
    std::set<std::string_view> seen;
    for (const plan::Port *port : ports) {
      where = what + " '" + port->name()->str() + "': ";
      expect(seen.insert(text(port->name())).second, "its name is used twice");
      expect(sizeOf(port->dtype()) > 0, "its element type is unknown");
      auto count = elementCount(numbers(port->shape()));
      auto bytes = count ? checkedMultiply(*count, sizeOf(port->dtype())) : std::nullopt;
      expect(bytes && *bytes <= kMaxArena && numbers(port->shape()).size() <= kMaxRank, "its shape is too large");
      size_t slots = items(plan.ranks()).size() * port->parts();
      if (!expect(port->parts() > 0 && numbers(port->buffers()).size() == slots && items(port->boxes()).size() == slots,
                  "it misses some ranks"))
        return;
      for (size_t slot = 0; ok() && slot < slots; ++slot)
        verifyBox(*port, slot, isInput);
      expect(isInput || coversAll(*port, *count), "no rank holds some of its elements");
      if (!ok())
        return;
    }
    where.clear();
  }

  void verifyBox(const plan::Port &port, size_t slot, bool isInput) {
    size_t rank = slot % items(plan.ranks()).size();
    int32_t index = numbers(port.buffers())[slot];
    auto buffers = items(items(plan.programs())[programOf(rank)]->buffers());
    if (index == -1 || !expect(index >= 0 && static_cast<size_t>(index) < buffers.size(), "its buffer does not exist"))
      return;
    const plan::Buffer &held = *buffers[index];
    auto global = numbers(port.shape()), local = numbers(held.shape());
    auto start = numbers(items(port.boxes())[slot]->start()), size = numbers(items(port.boxes())[slot]->size());
    expect(held.space() == plan::Space::work || (!isInput && held.space() == plan::Space::weights),
           "its buffer is read-only");
    expect(held.dtype() == port.dtype(), "its buffer has another element type");
    if (!expect(local.size() == global.size() && start.size() == global.size() && size.size() == global.size(),
                "its box or buffer has another number of dimensions"))
      return;
    for (size_t i = 0; i < global.size(); ++i)
      expect(start[i] >= 0 && size[i] >= 0 && start[i] <= global[i] && size[i] <= global[i] - start[i] &&
                 size[i] <= local[i],
             "its box on rank " + std::to_string(rank) + " lies outside its shape or buffer");
  }

  /// Boxes are replicas or disjoint, so the distinct ones must hold all elements.
  static bool coversAll(const plan::Port &port, uint64_t count) {
    std::set<std::pair<std::vector<int64_t>, std::vector<int64_t>>> distinct;
    uint64_t held = 0;
    for (size_t slot = 0; slot < numbers(port.buffers()).size(); ++slot) {
      auto start = numbers(items(port.boxes())[slot]->start()), size = numbers(items(port.boxes())[slot]->size());
      if (numbers(port.buffers())[slot] >= 0 &&
          distinct.emplace(std::vector(start.begin(), start.end()), std::vector(size.begin(), size.end())).second)
        held += *elementCount(size);
    }
    return held >= count;
  }

  struct Message {
    int sent = 0, received = 0;
    uint64_t sentBytes = 0, receivedBytes = 0;
    int32_t sentAs = -1, receivedAs = -1; // transfer
  };

  const plan::Plan &plan;
  std::string problem, where;
  const plan::Program *program = nullptr;
  size_t programNumber = 0;
  uint32_t nextSequence = 0;
  std::map<std::tuple<uint32_t, uint32_t, uint32_t>, Message> messages; // by sender, receiver, tag
};

} // namespace

bool isSafePath(std::string_view path) {
  if (path.empty() || path[0] == '/' || path.find('\0') != std::string_view::npos)
    return false;
  for (size_t at = 0; at <= path.size();) {
    size_t end = std::min(path.find('/', at), path.size());
    if (path.substr(at, end - at) == "..")
      return false;
    at = end + 1;
  }
  return true;
}

std::vector<bool> weightsWrittenByInit(const plan::Program &program, size_t numWeights) {
  std::vector<bool> made(numWeights);
  for (const plan::Instruction *instruction : items(program.init()))
    for (uint32_t write : numbers(instruction->writes())) {
      const plan::Buffer &buffer = *items(program.buffers())[write];
      if (buffer.space() == plan::Space::weights && buffer.offset() < numWeights)
        made[buffer.offset()] = true;
    }
  return made;
}

Status verifyPlan(const plan::Plan &plan) { return PlanVerifier(plan).run(); }

} // namespace mpopt::runtime
