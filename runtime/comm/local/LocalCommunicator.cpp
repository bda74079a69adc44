#include "comm/local/LocalCommunicator.h"
#include "comm/local/Collectives.h"
#include "comm/local/Meeting.h"

namespace mpopt::runtime {
namespace {

/// What the launches of one message share.
struct Message {
  LocalFabric::Channel &channel;
  const LocalFabric &fabric;
  Progress &progress;

  Status wait(std::atomic<uint32_t> &word, std::atomic<uint32_t> &sleepers, uint32_t value) {
    progress.beginWait();
    bool done = waitWhile(word, value, sleepers, {&fabric.abort(), fabric.spins()});
    progress.endWait();
    return done ? Status() : error(kGivenUp);
  }
};

class SendLaunch : public Launch {
public:
  SendLaunch(Message message, const std::byte *payload) : message(message), payload(payload) {}
  Status submit() override {
    message.channel.payload.store(payload, std::memory_order_relaxed);
    message.channel.posted.fetch_add(1);
    wake(message.channel.posted, message.channel.postedSleepers);
    return {};
  }

private:
  Message message;
  const std::byte *payload;
};

class SendDoneLaunch : public Launch {
public:
  explicit SendDoneLaunch(Message message) : message(message) {}
  Status submit() override {
    uint32_t before = message.channel.posted.load(std::memory_order_relaxed) - 1;
    return message.wait(message.channel.taken, message.channel.takenSleepers, before);
  }

private:
  Message message;
};

class RecvLaunch : public Launch {
public:
  RecvLaunch(Message message, std::byte *target, const StridedRuns &runs)
      : message(message), target(target), runs(runs) {}
  Status submit() override {
    uint32_t before = message.channel.taken.load(std::memory_order_relaxed);
    if (Status status = message.wait(message.channel.posted, message.channel.postedSleepers, before); !status)
      return status;
    runs.copy(message.channel.payload.load(std::memory_order_relaxed), target);
    message.channel.taken.fetch_add(1);
    wake(message.channel.taken, message.channel.takenSleepers);
    return {};
  }

private:
  Message message;
  std::byte *target;
  StridedRuns runs;
};

} // namespace

Result<LaunchPtr> LocalCommunicator::prepareCollective(const plan::Collective &call,
                                                       const plan::Instruction &instruction, const Operands &operands) {
  return makeLocalCollective(fabric, rank, progress, call, instruction, operands);
}

Result<LaunchPtr> LocalCommunicator::prepareSend(uint32_t peer, uint32_t tag, const BufferView &payload, unsigned) {
  return std::make_unique<SendLaunch>(Message{fabric.channel(rank, peer, tag), fabric, progress}, payload.data);
}

Result<LaunchPtr> LocalCommunicator::prepareSendDone(uint32_t peer, uint32_t tag, unsigned) {
  return std::make_unique<SendDoneLaunch>(Message{fabric.channel(rank, peer, tag), fabric, progress});
}

Result<LaunchPtr> LocalCommunicator::prepareRecv(uint32_t peer, uint32_t tag, const BufferView &payload,
                                                 const StridedRuns &runs, unsigned) {
  return std::make_unique<RecvLaunch>(Message{fabric.channel(peer, rank, tag), fabric, progress}, payload.data, runs);
}

Status LocalCommunicator::barrier() {
  progress.beginWait();
  bool all =
      fabric.world().arriveAndWait(static_cast<uint32_t>(fabric.plan().numRanks()), {&fabric.abort(), fabric.spins()});
  progress.endWait();
  return all ? Status() : error(kGivenUp);
}

} // namespace mpopt::runtime
