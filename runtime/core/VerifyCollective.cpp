#include "core/VerifyCollective.h"

#include <algorithm>
#include <vector>

namespace mpopt::runtime {
namespace {

bool isDim(int32_t dim, std::span<const int64_t> shape) { return dim >= 0 && static_cast<size_t>(dim) < shape.size(); }

/// Whether the shapes agree except along `dim`, where `largest` bounds the result (both shapes passed verification: sizes are
/// not negative).
bool fits(std::span<const int64_t> expected, std::span<const int64_t> result, int32_t dim) {
  if (expected.size() != result.size())
    return false;
  for (size_t i = 0; i < expected.size(); ++i)
    if (static_cast<int32_t>(i) == dim ? result[i] > expected[i] : result[i] != expected[i])
      return false;
  return true;
}

std::string mismatch(const plan::Collective &call, std::span<const int64_t> source, std::span<const int64_t> result,
                     uint64_t members) {
  return std::string(plan::EnumNameCollectiveKind(call.kind())) + " over " + std::to_string(members) +
         " ranks cannot make " + toText(result) + " of " + toText(source);
}

std::string checkPermute(const plan::Collective &call, uint64_t members) {
  auto permutation = numbers(call.permutation());
  if (permutation.size() != members)
    return "permute names " + std::to_string(permutation.size()) + " sources for " + std::to_string(members) + " ranks";
  if (std::ranges::any_of(permutation, [&](uint32_t from) { return from >= members; }))
    return "permute takes from a rank outside its group";
  return "";
}

bool haloFits(const plan::Collective &call, std::span<const int64_t> source, std::span<const int64_t> result) {
  int64_t size = source[call.dim()], sum;
  if (__builtin_add_overflow(size, call.low(), &sum) || __builtin_add_overflow(sum, call.high(), &sum) || sum < 0)
    return false;
  // A window far outside the group would overflow positions; no real halo is that long.
  constexpr int64_t kFar = int64_t(1) << 40;
  for (int64_t reach : {call.low(), call.high()})
    if (reach < -kFar || reach > kFar)
      return false;
  std::vector<int64_t> expected(source.begin(), source.end());
  expected[call.dim()] = sum;
  return std::ranges::equal(expected, result);
}

} // namespace

std::string checkRouted(const plan::Collective &call, std::span<const int64_t> source, std::span<const int64_t> indices,
                        std::span<const int64_t> result, uint64_t members) {
  auto count = static_cast<int64_t>(members);
  int64_t experts, rows;
  if (call.experts() < 1 || __builtin_mul_overflow(call.experts(), count, &experts))
    return "no rank can have " + std::to_string(call.experts()) + " experts";
  bool gives = call.kind() == plan::CollectiveKind::dispatch;
  std::span<const int64_t> part = gives ? source : result, whole = gives ? result : source;
  if (part.size() != 2 || whole.size() != 2 || part[1] != whole[1] || __builtin_mul_overflow(part[0], count, &rows) ||
      rows != whole[0])
    return mismatch(call, source, result, members);
  if (indices.size() != 2 || indices[0] != rows)
    return "indices of shape " + toText(indices) + " name no experts for " + std::to_string(rows) + " rows";
  return "";
}

std::string checkCollective(const plan::Collective &call, std::span<const int64_t> source,
                            std::span<const int64_t> result, uint64_t members) {
  bool needsDim = call.kind() != plan::CollectiveKind::all_reduce && call.kind() != plan::CollectiveKind::permute;
  if (needsDim && !isDim(call.dim(), source))
    return "dimension " + std::to_string(call.dim()) + " does not exist in " + toText(source);
  if (call.reduce() > plan::ReduceKind::MAX)
    return "its reduction is unknown";
  std::vector<int64_t> expected(source.begin(), source.end());
  auto count = static_cast<int64_t>(members);
  bool ok = false;
  switch (call.kind()) {
  case plan::CollectiveKind::permute:
    if (std::string why = checkPermute(call, members); !why.empty())
      return why;
    [[fallthrough]];
  case plan::CollectiveKind::all_reduce:
    ok = std::ranges::equal(source, result);
    break;
  case plan::CollectiveKind::all_gather:
    ok = !__builtin_mul_overflow(expected[call.dim()], count, &expected[call.dim()]) &&
         fits(expected, result, call.dim());
    break;
  case plan::CollectiveKind::reduce_scatter: {
    int64_t padded;
    ok = source.size() == result.size() && !__builtin_mul_overflow(result[call.dim()], count, &padded) &&
         padded >= source[call.dim()];
    expected[call.dim()] = INT64_MAX;
    ok = ok && fits(expected, result, call.dim());
    break;
  }
  case plan::CollectiveKind::all_to_all: {
    if (!isDim(call.split_dim(), source))
      return "dimension " + std::to_string(call.split_dim()) + " does not exist in " + toText(source);
    int64_t &split = expected[call.split_dim()], padded;
    int64_t even = split / count + (split % count != 0);
    bool apart = call.dim() != call.split_dim() && source.size() == result.size();
    split = apart ? std::max(even, result[call.split_dim()]) : even;
    ok = !__builtin_mul_overflow(split, count, &padded) &&
         !__builtin_mul_overflow(expected[call.dim()], count, &expected[call.dim()]) &&
         fits(expected, result, call.dim());
    break;
  }
  case plan::CollectiveKind::halo:
    ok = source.size() == result.size() && haloFits(call, source, result);
    break;
  default:
    return "its kind is unknown";
  }
  return ok ? "" : mismatch(call, source, result, members);
}

} // namespace mpopt::runtime
