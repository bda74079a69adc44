#include "comm/local/Routes.h"

#include <cstring>

namespace mpopt::runtime {

Routes::Routes(const plan::Collective &call, const Operands &operands, size_t members, size_t self)
    : indices(operands.reads[1].data), result(operands.writes[0].data),
      choices(static_cast<uint64_t>(operands.reads[1].shape[1])), experts(static_cast<uint64_t>(call.experts())),
      members(members), self(self), sum(reduceFunction(operands.reads[0].dtype, plan::ReduceKind::sum)) {
  const BufferView &source = operands.reads[0];
  bool gives = call.kind() == plan::CollectiveKind::dispatch;
  rows = static_cast<uint64_t>(gives ? source.shape[0] : operands.writes[0].shape[0]);
  rowBytes = static_cast<uint64_t>(source.shape[1]) * sizeOf(source.dtype);
}

bool Routes::goesTo(size_t member, uint64_t row) const {
  for (uint64_t i = 0; i < choices; ++i) {
    uint64_t index; // of a negative one: a very large number
    std::memcpy(&index, indices + (row * choices + i) * sizeof(index), sizeof(index));
    if (index - member * experts < experts)
      return true;
  }
  return false;
}

uint64_t Routes::dispatch(std::span<const std::byte *const> from) const {
  uint64_t received = 0;
  for (size_t step = 0; step < members; ++step) { // begin with different peers
    size_t peer = (self + step) % members;
    for (uint64_t row = 0; row < rows; ++row)
      if (goesTo(self, peer * rows + row)) {
        std::memcpy(result + (peer * rows + row) * rowBytes, from[peer] + row * rowBytes, rowBytes);
        received += peer == self ? 0 : rowBytes;
      }
  }
  return received;
}

uint64_t Routes::combine(std::span<const std::byte *const> from, std::span<const std::byte *> scratch) const {
  uint64_t received = 0;
  for (uint64_t row = 0; row < rows; ++row) {
    size_t count = 0;
    for (size_t member = 0; member < members; ++member)
      if (goesTo(member, self * rows + row)) {
        scratch[count++] = from[member] + (self * rows + row) * rowBytes;
        received += member == self ? 0 : rowBytes;
      }
    if (count > 0)
      sum(result + row * rowBytes, scratch.data(), count, rowBytes);
    else
      std::memset(result + row * rowBytes, 0, rowBytes);
  }
  return received;
}

} // namespace mpopt::runtime
