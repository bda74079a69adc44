#include "core/VerifyAlignment.h"

#include <algorithm>

namespace mpopt::runtime {
namespace {

bool isAligned(const flatbuffers::Vector<int64_t> *vector) {
  return !vector || reinterpret_cast<uintptr_t>(vector->Data()) % alignof(int64_t) == 0;
}

bool isAligned(const plan::Program &program) {
  return std::ranges::all_of(items(program.buffers()),
                             [](const plan::Buffer *buffer) { return isAligned(buffer->shape()); });
}

bool isAligned(const plan::Transfer &transfer) {
  return isAligned(transfer.shape()) && std::ranges::all_of(items(transfer.pieces()), [](const plan::Piece *piece) {
           return isAligned(piece->source()) && isAligned(piece->target()) && isAligned(piece->size());
         });
}

bool isAligned(const plan::Port &port) {
  return isAligned(port.shape()) && std::ranges::all_of(items(port.boxes()), [](const plan::Box *box) {
           return isAligned(box->start()) && isAligned(box->size());
         });
}

template <typename T> bool areAligned(const flatbuffers::Vector<flatbuffers::Offset<T>> *tables) {
  return std::ranges::all_of(items(tables), [](const T *table) { return isAligned(*table); });
}

} // namespace

bool isAligned(const plan::Plan &plan) {
  return areAligned(plan.programs()) && areAligned(plan.transfers()) && areAligned(plan.inputs()) &&
         areAligned(plan.outputs());
}

} // namespace mpopt::runtime
