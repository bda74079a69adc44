// A reshard costs no more than the cheapest way through all shardings of a mesh, with every step that leads from one to another found
// by trying, independent of the search's graph. Steps are as the dialect means them: they join axes that split, end partiality that is there.
#include "ReshardFixture.h"
#include <cmath>
#include <set>

using namespace mpopt::test;

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

struct Case {
  std::vector<int64_t> mesh, shape;
};

class ReshardCost : public ReshardFixture, public testing::WithParamInterface<Case> {
protected:
  void SetUp() override {
    mesh = makeMesh(GetParam().mesh);
    shape.assign(GetParam().shape.begin(), GetParam().shape.end());
    whole = numbers(shape);
    all = allShardings(shape, mesh, false);
    for (ShardingAttr sharding : all)
      held.push_back(Devices::shard(whole, sharding, mesh));
    addGroups({});
  }

  /// All ordered lists of axes.
  void addGroups(SmallVector<StringAttr> group) {
    if (!group.empty())
      groups.push_back(group);
    for (MeshAxisAttr axis : mesh.getAxes())
      if (!llvm::is_contained(group, axis.getName())) {
        SmallVector<StringAttr> longer = group;
        longer.push_back(axis.getName());
        addGroups(longer);
      }
  }

  double bytes(ShardingAttr sharding) const {
    double total = 4;
    for (int64_t size : sharding.getLocalShape(shape, mesh))
      total *= static_cast<double>(size);
    return total;
  }

  /// Whether a collective of this kind can have a result of the shape that the sharding after it asks for. Splits are as even as can be:
  /// with larger parts the last devices get none, and a reduce-scatter would be a reduction to one device, which its price is not made for.
  bool shapesFit(const ReshardStep &step, ShardingAttr before) const {
    SmallVector<int64_t> from = before.getLocalShape(shape, mesh), to = step.after.getLocalShape(shape, mesh);
    int64_t devices = mesh.sizeOf(step.axes);
    bool joins = step.kind == ReshardStep::AllGather || step.kind == ReshardStep::AllToAll;
    for (size_t d = 0; d < from.size(); ++d) {
      bool works = static_cast<int64_t>(d) == step.dim && step.kind != ReshardStep::AllReduce &&
                   step.kind != ReshardStep::KeepFirst;
      bool splits = step.kind == ReshardStep::AllToAll ? static_cast<int64_t>(d) == step.toDim : works && !joins;
      int64_t most = works && joins ? from[d] * devices : from[d];
      if (splits ? to[d] != (from[d] + devices - 1) / devices
                 : (works ? to[d] > most || to[d] < from[d] : to[d] != from[d]))
        return false;
    }
    return true;
  }

  /// Whether the step joins what is split, splits over what will be split, reduces what is partial.
  bool axesFit(const ReshardStep &step, ShardingAttr before) const {
    auto all = [&](ArrayRef<StringAttr> of) {
      return llvm::all_of(step.axes, [&](StringAttr axis) { return llvm::is_contained(of, axis); });
    };
    ArrayRef<DimShardingAttr> from = before.getDims(), to = step.after.getDims();
    switch (step.kind) {
    case ReshardStep::Slice:
      return all(to[step.dim].getAxes());
    case ReshardStep::AllGather:
      return all(from[step.dim].getAxes());
    case ReshardStep::ReduceScatter:
      return all(before.getUnreduced()) && all(to[step.dim].getAxes());
    case ReshardStep::AllToAll:
      return all(from[step.dim].getAxes()) && all(to[step.toDim].getAxes());
    case ReshardStep::AllReduce:
      return all(before.getUnreduced());
    default:
      return all(step.after.getUnreduced());
    }
  }

  /// Price of the cheapest single step, or kNever. A permute's does not depend on its axes.
  double oneStep(size_t from, size_t to) const {
    double best =
        isPermutation(from, to) ? price({ReshardStep::Permute, 0, 0, groups.front(), {}, {}}, from, to) : kNever;
    auto attempt = [&](ReshardStep step) {
      step.after = all[to];
      double cost = price(step, from, to);
      if (cost < best && axesFit(step, all[from]) && shapesFit(step, all[from]) &&
          !held[from].apply(step, all[from], shape).differs(whole, all[to]))
        best = cost;
    };
    auto rank = static_cast<int64_t>(shape.size());
    for (const auto &group : groups) {
      for (int64_t d = 0; d < rank; ++d) {
        for (auto kind : {ReshardStep::Slice, ReshardStep::AllGather, ReshardStep::ReduceScatter})
          attempt({kind, d, 0, group, {}, {}});
        for (int64_t e = 0; e < rank; ++e)
          if (e != d)
            attempt({ReshardStep::AllToAll, d, e, group, {}, {}});
      }
      attempt({ReshardStep::AllReduce, 0, 0, group, {}, {}});
      attempt({ReshardStep::KeepFirst, 0, 0, group, {}, {}});
    }
    return best;
  }

  double price(const ReshardStep &step, size_t from, size_t to) const {
    return defaultReshardPrice(step, bytes(all[from]), bytes(all[to]), mesh);
  }

  /// Whether the devices hold the same parts in another order. Among partial sums order means nothing here.
  bool isPermutation(size_t from, size_t to) const {
    if (!all[from].getUnreduced().empty() || !all[to].getUnreduced().empty())
      return false;
    auto parts = [&](size_t i) {
      std::multiset<std::vector<double>> result;
      for (const Array &part : held[i].all()) {
        std::vector<double> data = part.data;
        for (double &value : data) // padding
          value = std::isnan(value) ? -1 : value;
        data.insert(data.end(), part.shape.begin(), part.shape.end());
        result.insert(data);
      }
      return result;
    };
    return from != to && parts(from) == parts(to);
  }

  struct Ways {
    std::vector<double> least;
    std::vector<size_t> before;
  };

  /// Dijkstra's search from one sharding.
  Ways waysFrom(size_t start, const std::vector<std::vector<double>> &edges) const {
    Ways ways{std::vector<double>(all.size(), kNever), std::vector<size_t>(all.size(), start)};
    std::set<std::pair<double, size_t>> open{{ways.least[start] = 0, start}};
    while (!open.empty()) {
      auto [cost, at] = *open.begin();
      open.erase(open.begin());
      for (size_t next = 0; next < all.size(); ++next)
        if (cost + edges[at][next] < ways.least[next]) {
          open.erase({ways.least[next], next});
          open.insert({ways.least[next] = cost + edges[at][next], next});
          ways.before[next] = at;
        }
    }
    return ways;
  }

  std::string describe(const Ways &ways, size_t from, size_t to) const {
    std::string way = text(all[to]);
    for (; to != from; to = ways.before[to])
      way = text(all[ways.before[to]]) + "\n  -> " + way;
    return way;
  }

  double costOf(size_t from, size_t to) {
    auto steps = find(all[from], all[to], shape, mesh);
    if (failed(steps))
      return kNever;
    double cost = 0;
    ShardingAttr now = all[from];
    for (const ReshardStep &step : *steps) {
      cost += defaultReshardPrice(step, bytes(now), bytes(step.after), mesh);
      now = step.after;
    }
    return cost;
  }

  MeshAttr mesh;
  SmallVector<int64_t> shape;
  Array whole;
  std::vector<ShardingAttr> all;
  std::vector<Devices> held;
  std::vector<SmallVector<StringAttr>> groups;
};

TEST_P(ReshardCost, IsThatOfTheBestOfAllPaths) {
  std::vector<std::vector<double>> edges(all.size(), std::vector<double>(all.size(), kNever));
  for (size_t from = 0; from < all.size(); ++from)
    for (size_t to = 0; to < all.size(); ++to)
      edges[from][to] = oneStep(from, to);
  for (size_t from = 0; from < all.size(); ++from) {
    Ways ways = waysFrom(from, edges);
    for (size_t to = 0; to < all.size(); ++to)
      EXPECT_LE(costOf(from, to), ways.least[to] + 1e-9) << "cheaper: " << describe(ways, from, to);
  }
}

const Case kCases[] = {{{2}, {6, 4}},    {{3}, {6, 9}},     {{5}, {7, 10}},     {{2, 2}, {4, 8}},
                       {{2, 2}, {7}},    {{2, 2}, {5, 6}},  {{2, 3}, {6, 6}},   {{2, 3}, {5, 7}},
                       {{2, 2, 2}, {8}}, {{2, 2, 2}, {11}}, {{2, 2}, {4, 4, 4}}};
INSTANTIATE_TEST_SUITE_P(All, ReshardCost, testing::ValuesIn(kCases), [](const auto &info) {
  std::string name = "mesh";
  for (int64_t size : info.param.mesh)
    name += "_" + std::to_string(size);
  name += "_tensor";
  for (int64_t size : info.param.shape)
    name += "_" + std::to_string(size);
  return name;
});

} // namespace
