#include "core/MessageLaunch.h"
#include "format/Messages.h"

#include <array>

namespace mpopt::runtime {
namespace {

class LaunchSequence : public Launch {
public:
  explicit LaunchSequence(std::vector<LaunchPtr> launches) : launches(std::move(launches)) {}
  Status submit() override {
    for (const LaunchPtr &launch : launches)
      if (Status status = launch->submit(); !status)
        return status;
    return {};
  }

private:
  std::vector<LaunchPtr> launches;
};

/// One launch per partner, as one.
template <typename Prepare>
Result<LaunchPtr> forEachPartner(const plan::Plan &plan, uint32_t rank, const plan::Instruction &instruction,
                                 Prepare prepare) {
  std::vector<LaunchPtr> launches;
  for (const Partner &partner : partnersOf(plan, rank, instruction)) {
    Result<LaunchPtr> launch = prepare(partner);
    if (!launch)
      return launch;
    launches.push_back(std::move(*launch));
  }
  if (launches.size() == 1)
    return std::move(launches.front());
  return std::make_unique<LaunchSequence>(std::move(launches));
}

StridedRuns runsOf(const plan::Plan &plan, const plan::Recv &recv, const Partner &partner, const BufferView &payload) {
  if (!partner.piece) {
    std::array<int64_t, 1> all{static_cast<int64_t>(payload.bytes)}, start{0};
    return {all, all, start, all, start, 1};
  }
  const plan::Piece &piece = *partner.piece;
  auto shape = numbers(items(plan.transfers())[static_cast<size_t>(recv.transfer())]->shape());
  return {numbers(piece.size()), shape, numbers(piece.source()), payload.shape, numbers(piece.target()),
          sizeOf(payload.dtype)};
}

} // namespace

Result<LaunchPtr> prepareMessage(Communicator &communicator, const plan::Plan &plan, uint32_t rank,
                                 const plan::Instruction &instruction, const Operands &operands) {
  unsigned stream = instruction.stream();
  return forEachPartner(plan, rank, instruction, [&](const Partner &partner) {
    if (const plan::Send *send = instruction.op_as_Send())
      return communicator.prepareSend(partner.rank, send->tag(), operands.reads[0], stream);
    const plan::Recv &recv = *instruction.op_as_Recv();
    const BufferView &target = operands.writes[0];
    return communicator.prepareRecv(partner.rank, recv.tag(), target, runsOf(plan, recv, partner, target), stream);
  });
}

Result<LaunchPtr> prepareMessageDone(Communicator &communicator, const plan::Plan &plan, uint32_t rank,
                                     const plan::Instruction &send, unsigned stream) {
  return forEachPartner(plan, rank, send, [&](const Partner &partner) {
    return communicator.prepareSendDone(partner.rank, send.op_as_Send()->tag(), stream);
  });
}

} // namespace mpopt::runtime
