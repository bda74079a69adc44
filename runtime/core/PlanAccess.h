#ifndef MPOPT_RUNTIME_CORE_PLANACCESS_H
#define MPOPT_RUNTIME_CORE_PLANACCESS_H

#include "format/Container.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mpopt::runtime {

/// The items of a FlatBuffers vector; an absent vector has none.
template <typename T> class Items {
public:
  Items(const flatbuffers::Vector<T> *vector) : vector(vector) {}
  size_t size() const { return vector ? vector->size() : 0; }
  auto operator[](size_t i) const { return vector->Get(static_cast<flatbuffers::uoffset_t>(i)); }
  auto begin() const { return vector ? vector->begin() : Iterator(nullptr, 0); }
  auto end() const { return vector ? vector->end() : Iterator(nullptr, 0); }

private:
  using Iterator = typename flatbuffers::Vector<T>::const_iterator;
  const flatbuffers::Vector<T> *vector;
};

template <typename T> Items<T> items(const flatbuffers::Vector<T> *vector) { return {vector}; }

/// The numbers of a FlatBuffers vector as a span (the format and all supported machines are little-endian).
template <typename T> std::span<const T> numbers(const flatbuffers::Vector<T> *vector) {
  return vector ? std::span<const T>(reinterpret_cast<const T *>(vector->data()), vector->size())
                : std::span<const T>();
}

inline std::string_view text(const flatbuffers::String *string) {
  return string ? std::string_view(string->data(), string->size()) : std::string_view();
}

/// Bytes of one element, 0 for a value that is no DType.
size_t sizeOf(plan::DType dtype);
/// numpy's name: "float32", "int64", "bool", ...
const char *nameOf(plan::DType dtype);

std::optional<uint64_t> checkedMultiply(uint64_t a, uint64_t b);
/// Number of elements; nothing when a dimension is negative or the product does not fit.
std::optional<uint64_t> elementCount(std::span<const int64_t> shape);
/// "[2, 3]"
std::string toText(std::span<const int64_t> shape);

/// The rank that a send or receive of `rank` with this distance talks to; nothing where there is no such rank.
std::optional<uint32_t> peerOf(const plan::Plan &plan, uint32_t rank, int32_t distance);

/// Whether the collective sends tokens to experts, which its second operand names.
inline bool isRouted(plan::CollectiveKind kind) {
  return kind == plan::CollectiveKind::dispatch || kind == plan::CollectiveKind::combine;
}

/// "all_reduce", "kernel_3", "conv", "copy", "send", "recv"
std::string kindOf(const plan::Plan &plan, const plan::Instruction &instruction);
/// "all_reduce#5 (node /layer.3/MatMul)": what error messages and traces call an instruction.
/// With `init` those of the init list.
std::string describe(const plan::Plan &plan, const plan::Program &program, size_t instruction, bool init = false);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_PLANACCESS_H
