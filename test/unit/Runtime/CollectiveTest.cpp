// Every collective against a reference that works element by element, in thread and in process mode.
#include "PlanMaker.h"

#include <numeric>
#include <random>

namespace mpopt::runtime {
namespace {

using plan::CollectiveKind;
using plan::DType;
using plan::ReduceKind;

struct Case {
  CollectiveKind kind;
  unsigned members = 2;
  std::vector<int64_t> source, result; // local shapes, without the leading 1
  int32_t dim = 0, splitDim = 0;
  int64_t low = 0, high = 0;
  double pad = 0;
  ReduceKind reduce = ReduceKind::sum;
  DType dtype = DType::f32;
  bool processes = false;
};

std::vector<int64_t> withFront(int64_t front, std::vector<int64_t> shape) {
  shape.insert(shape.begin(), front);
  return shape;
}

int64_t product(const std::vector<int64_t> &shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t(1), std::multiplies());
}

/// Groups of `members` of twice as many ranks: {0, 2, 4, ...} backwards and {1, 3, 5, ...}.
std::vector<std::vector<uint32_t>> groupsOf(unsigned members) {
  std::vector<std::vector<uint32_t>> groups(2);
  for (unsigned i = 0; i < members; ++i) {
    groups[0].insert(groups[0].begin(), 2 * i);
    groups[1].push_back(2 * i + 1);
  }
  return groups;
}

std::vector<uint32_t> permutationOf(unsigned members) {
  std::vector<uint32_t> permutation(members);
  for (unsigned i = 0; i < members; ++i)
    permutation[i] = (i + members - 1) % members;
  return permutation;
}

double reduced(ReduceKind kind, double a, double b) {
  switch (kind) {
  case ReduceKind::max:
    return std::max(a, b);
  case ReduceKind::min:
    return std::min(a, b);
  case ReduceKind::prod:
    return a * b;
  default:
    return a + b;
  }
}

/// What the collective's description in plan.fbs says of one element of the result of the member at `place`.
class Reference {
public:
  Reference(const Case &test, const std::vector<uint32_t> &group, const std::vector<double> &values)
      : test(test), group(group), values(values) {}

  double element(size_t place, std::vector<int64_t> index) const {
    auto members = static_cast<int64_t>(group.size());
    int64_t &at = index[test.dim];
    int64_t size = test.source[test.dim];
    switch (test.kind) {
    case CollectiveKind::all_reduce:
      return all(index);
    case CollectiveKind::reduce_scatter:
      at += static_cast<int64_t>(place) * test.result[test.dim];
      return at < size ? all(index) : 0;
    case CollectiveKind::all_gather: {
      int64_t member = std::exchange(at, at % size) / size;
      return of(member, index);
    }
    case CollectiveKind::permute:
      return of(permutationOf(group.size())[place], index);
    case CollectiveKind::halo: {
      int64_t global = static_cast<int64_t>(place) * size - test.low + at;
      if (global < 0 || global >= size * members)
        return test.pad;
      at = global % size;
      return of(global / size, index);
    }
    default: {
      int64_t even = (test.source[test.splitDim] + members - 1) / members;
      int64_t block = test.dim == test.splitDim ? even : test.result[test.splitDim];
      int64_t step = test.dim == test.splitDim ? block : size;
      int64_t member = std::exchange(at, at % step) / step;
      index[test.splitDim] += static_cast<int64_t>(place) * block;
      return index[test.splitDim] < test.source[test.splitDim] ? of(member, index) : 0;
    }
    }
  }

private:
  double of(int64_t member, const std::vector<int64_t> &index) const {
    int64_t flat = group[member];
    for (size_t i = 0; i < index.size(); ++i)
      flat = flat * test.source[i] + index[i];
    return values[flat];
  }
  double all(const std::vector<int64_t> &index) const {
    double sum = of(0, index);
    for (size_t i = 1; i < group.size(); ++i)
      sum = reduced(test.reduce, sum, of(static_cast<int64_t>(i), index));
    return test.dtype == DType::boolean ? sum != 0 : sum;
  }

  const Case &test;
  const std::vector<uint32_t> &group;
  const std::vector<double> &values;
};

std::vector<double> expected(const Case &test, const std::vector<double> &values) {
  int64_t count = product(test.result);
  std::vector<double> out(2 * test.members * count);
  for (const auto &group : groupsOf(test.members))
    for (size_t place = 0; place < group.size(); ++place)
      for (int64_t i = 0; i < count; ++i) {
        std::vector<int64_t> index(test.result.size());
        int64_t rest = i;
        for (size_t dim = index.size(); dim-- > 0; rest /= test.result[dim])
          index[dim] = rest % test.result[dim];
        out[group[place] * count + i] = Reference(test, group, values).element(place, index);
      }
  return out;
}

void check(const Case &test) {
  SCOPED_TRACE(std::string(plan::EnumNameCollectiveKind(test.kind)) + " " + plan::EnumNameReduceKind(test.reduce) +
               " " + nameOf(test.dtype) + " " + std::to_string(test.members) + " ranks " + toText(test.source) +
               " -> " + toText(test.result) + (test.processes ? " processes" : " threads"));
  unsigned ranks = 2 * test.members;
  PlanMaker maker(ranks);
  bool inPlace = test.kind == CollectiveKind::all_reduce && test.members == 3;
  uint32_t source = maker.work(withFront(1, test.source), test.dtype);
  uint32_t result = inPlace ? source : maker.work(withFront(1, test.result), test.dtype);
  plan::CollectiveT &call = maker.collective(test.kind, maker.groups(groupsOf(test.members)), source, result);
  call.reduce = test.reduce;
  call.dim = test.dim + 1;
  call.split_dim = test.splitDim + 1;
  call.low = test.low;
  call.high = test.high;
  call.pad = test.pad;
  if (test.kind == CollectiveKind::permute)
    call.permutation = permutationOf(test.members);
  maker.input("x", {static_cast<int32_t>(source)});
  maker.output("y", {static_cast<int32_t>(result)});

  std::mt19937 random(1);
  std::vector<double> values(ranks * product(test.source));
  for (double &value : values)
    value = test.dtype == DType::boolean ? random() % 2 : random() % 4;
  auto outputs =
      runPlan(maker.write(), {makeTensor(test.dtype, withFront(ranks, test.source), values)}, test.processes, 3);
  ASSERT_TRUE(outputs) << outputs.error().message;
  EXPECT_EQ(valuesOf((*outputs)[0]), expected(test, values));
}

void checkBothModes(Case test) {
  for (bool processes : {false, true}) {
    test.processes = processes;
    check(test);
  }
}

class CollectiveTest : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Members, CollectiveTest, testing::Values(1, 2, 3, 4));

TEST_P(CollectiveTest, allReduce) {
  for (int64_t size : {1, 7, 1000, 9001, 40000}) // up to 8192 floats may be staged
    checkBothModes({CollectiveKind::all_reduce, GetParam(), {size}, {size}});
}

TEST_P(CollectiveTest, everyTypeAndReduction) {
  for (DType dtype : plan::EnumValuesDType())
    for (ReduceKind reduce : plan::EnumValuesReduceKind()) {
      Case test{CollectiveKind::all_reduce, GetParam(), {3, 700}, {3, 700}};
      test.dtype = dtype;
      test.reduce = reduce;
      check(test);
      test.kind = CollectiveKind::reduce_scatter;
      test.result = {3, (700 + GetParam() - 1) / GetParam()};
      test.dim = 1;
      check(test);
    }
}

TEST_P(CollectiveTest, allGather) {
  int64_t members = GetParam();
  for (int32_t dim : {0, 1, 2})
    for (int64_t crop : {0, 1})
      for (int64_t width : {3, 900}) {
        Case test{CollectiveKind::all_gather, GetParam(), {4, 5, width}, {4, 5, width}, dim};
        test.result[dim] = test.result[dim] * members - crop;
        checkBothModes(test);
      }
  Case wide{CollectiveKind::all_gather, GetParam(), {2}, {members == 1 ? 1 : 2}}; // cropped to the first members
  check(wide);
}

TEST_P(CollectiveTest, reduceScatter) {
  int64_t members = GetParam();
  for (int32_t dim : {0, 1, 2})
    for (int64_t width : {6, 1000}) {
      Case test{CollectiveKind::reduce_scatter, GetParam(), {10, 7, width}, {10, 7, width}, dim};
      test.result[dim] = (test.source[dim] + members - 1) / members;
      checkBothModes(test);
      test.result[dim] = test.source[dim]; // only the first rank gets anything
      check(test);
    }
}

TEST_P(CollectiveTest, allToAll) {
  int64_t members = GetParam();
  for (int32_t dim : {0, 1, 2})
    for (int32_t split : {0, 1, 2})
      for (int64_t crop : {0, 1}) {
        Case test{CollectiveKind::all_to_all, GetParam(), {5, 6, 7}, {5, 6, 7}, dim, split};
        test.result[split] = (test.source[split] + members - 1) / members;
        test.result[dim] = test.result[dim] * members - crop;
        checkBothModes(test);
      }
  Case units{CollectiveKind::all_to_all, GetParam(), {9, 4},
             {6, 4 * members},           1,          0}; // blocks larger than an even split
  for (int64_t group : {6, 9}) {
    units.result[0] = std::max<int64_t>(group, (9 + members - 1) / members);
    checkBothModes(units);
  }
  Case large{
      CollectiveKind::all_to_all, GetParam(), {60, 50, 11}, {60 * members, (50 + members - 1) / members, 11}, 0, 1};
  checkBothModes(large);
}

TEST_P(CollectiveTest, permute) {
  for (int64_t size : {5, 50000})
    checkBothModes({CollectiveKind::permute, GetParam(), {size, 2}, {size, 2}});
}

/// Rounds in which operands of either size are overwritten as soon as they were handed on.
TEST_P(CollectiveTest, permutesThatFollowOneAnother) {
  constexpr unsigned kRounds = 12;
  unsigned ranks = 2 * GetParam();
  for (bool processes : {false, true}) {
    PlanMaker maker(ranks);
    uint32_t groups = maker.groups(groupsOf(GetParam()));
    std::vector<Tensor> inputs;
    std::vector<std::vector<double>> expected;
    std::vector<std::array<uint32_t, 2>> buffers;
    for (int64_t size : {5, 20000}) {
      buffers.push_back({maker.work({1, size}), maker.work({1, size})});
      maker.input("x" + std::to_string(size), {static_cast<int32_t>(buffers.back()[0])});
      maker.output("y" + std::to_string(size), {static_cast<int32_t>(buffers.back()[0])});
      std::vector<double> values(ranks * size), moved(values.size());
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<double>(i % 8191);
      for (const auto &group : groupsOf(GetParam()))
        for (size_t place = 0; place < group.size(); ++place)
          std::copy_n(values.begin() + group[(place + kRounds * group.size() - kRounds) % group.size()] * size, size,
                      moved.begin() + group[place] * size);
      inputs.push_back(makeTensor(DType::f32, {ranks, size}, values));
      expected.push_back(std::move(moved));
    }
    for (unsigned i = 0; i < kRounds; ++i)
      for (const auto &pair : buffers)
        maker.collective(CollectiveKind::permute, groups, pair[i % 2], pair[1 - i % 2]).permutation =
            permutationOf(GetParam());
    auto outputs = runPlan(maker.write(), inputs, processes, 20);
    ASSERT_TRUE(outputs) << outputs.error().message;
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_EQ(valuesOf((*outputs)[i]), expected[i]);
  }
}

TEST_P(CollectiveTest, halo) {
  for (auto [low, high] : {std::pair(1, 1), {0, 3}, {2, 0}, {9, 5}, {-1, 1}}) // 9 reaches past a neighbour of 4
    for (int32_t dim : {0, 1})
      for (double pad : {0.0, -3.0}) {
        Case test{CollectiveKind::halo, GetParam(), {4, 4, 3}, {4, 4, 3}, dim, 0, low, high, pad};
        test.result[dim] += low + high;
        checkBothModes(test);
      }
  Case large{CollectiveKind::halo, GetParam(), {4, 2500}, {6, 2500}, 0, 0, 1, 1};
  checkBothModes(large);
  Case bf16{CollectiveKind::halo, GetParam(), {4, 2}, {6, 2}, 0, 0, 1, 1, -2, ReduceKind::sum, DType::bf16};
  check(bf16);
  bf16.dtype = DType::f16;
  check(bf16);
  bf16.dtype = DType::i8;
  check(bf16);
}

} // namespace
} // namespace mpopt::runtime
