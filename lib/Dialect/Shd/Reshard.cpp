#include "mpopt/Dialect/Shd/Reshard.h"
#include "ReshardGraph.h"
#include <algorithm>
#include <queue>

using namespace mlir;
using namespace mpopt::shd;

using Steps = SmallVector<ReshardStep>;

namespace {

/// Dijkstra's search. Ties go to fewer steps, then to the smaller node, so that the answer depends on nothing else.
class Search {
public:
  Search(ReshardGraph &graph, ReshardPrice price) : graph(graph), price(price) {}

  FailureOr<Steps> run() {
    auto first = graph.pack(graph.start()), last = graph.pack(graph.goal());
    if (!first || !last)
      return failure();
    goal = *last;
    nodes[*first].cost = 0;
    open.push({0, 0, *first});
    while (!open.empty()) {
      auto [cost, steps, key] = open.top();
      open.pop();
      if (key == goal)
        return read();
      Node &node = nodes[key];
      if (node.done)
        continue;
      node.done = true;
      expand(key, cost, steps);
    }
    return failure();
  }

private:
  struct Node {
    double cost = std::numeric_limits<double>::infinity();
    unsigned steps = 0;
    uint64_t before = 0;
    ReshardGraph::Move move{ReshardStep::Slice, 0, 0, {}};
    bool done = false;
  };
  using Entry = std::tuple<double, unsigned, uint64_t>;

  void expand(uint64_t key, double cost, unsigned steps) {
    ReshardGraph::State state = graph.unpack(key);
    double bytesIn = graph.bytes(state);
    graph.forEachMove(state, [&](const ReshardGraph::Move &move, const ReshardGraph::State &next) {
      std::optional<uint64_t> nextKey = graph.pack(next);
      if (!nextKey)
        return;
      Node &node = nodes[*nextKey];
      if (node.done || node.cost <= cost)
        return;
      double total = cost + priceOf(move, state, next, bytesIn);
      if (total >= best && *nextKey != goal)
        return;
      if (std::tie(node.cost, node.steps) <= std::make_tuple(total, steps + 1))
        return;
      node.cost = total;
      node.steps = steps + 1;
      node.before = key;
      node.move = move;
      if (*nextKey == goal)
        best = total;
      open.push({total, steps + 1, *nextKey});
    });
  }

  double priceOf(const ReshardGraph::Move &move, const ReshardGraph::State &state, const ReshardGraph::State &next,
                 double bytesIn) {
    ReshardStep step{move.kind, 0, 0, {}, {}, {}};
    fill(step, move);
    if (move.kind == ReshardStep::Permute)
      step.axes = graph.expand(graph.movedAxes(state, next));
    return std::max(0.0, price(step, bytesIn, graph.bytes(next)));
  }

  void fill(ReshardStep &step, const ReshardGraph::Move &move) const {
    bool hasDim =
        move.kind != ReshardStep::KeepFirst && move.kind != ReshardStep::AllReduce && move.kind != ReshardStep::Permute;
    if (hasDim)
      step.dim = graph.dimension(move.dim);
    if (move.kind == ReshardStep::AllToAll)
      step.toDim = graph.dimension(move.toDim);
    step.axes = graph.expand(move.axes);
  }

  FailureOr<Steps> read() {
    Steps steps;
    uint64_t key = goal;
    for (const Node *node = &nodes[key]; node->steps; key = node->before, node = &nodes[key]) {
      ReshardStep step{node->move.kind, 0, 0, {}, {}, {}};
      fill(step, node->move);
      step.after = graph.sharding(graph.unpack(key));
      if (step.kind == ReshardStep::Permute) {
        ShardingAttr before = graph.sharding(graph.unpack(node->before));
        step.axes = graph.permutedAxes(before, step.after);
        step.sources = graph.permutationOf(before, step.after, step.axes);
      }
      steps.push_back(std::move(step));
    }
    std::reverse(steps.begin(), steps.end());
    return steps;
  }

  ReshardGraph &graph;
  ReshardPrice price;
  llvm::DenseMap<uint64_t, Node> nodes;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<Entry>> open;
  uint64_t goal = 0;
  double best = std::numeric_limits<double>::infinity();
};

/// Steps that always lead from one sharding to another: end partiality, join every dimension that differs, split anew.
class Detour {
public:
  Detour(ShardingAttr from, ShardingAttr to) : now(from), to(to) {}

  FailureOr<Steps> run() {
    SmallVector<StringAttr> reduced, kept;
    for (StringAttr axis : now.getUnreduced())
      if (!llvm::is_contained(to.getUnreduced(), axis) || now.getReduce() != to.getReduce())
        reduced.push_back(axis);
    if (!reduced.empty()) {
      SmallVector<StringAttr> left;
      for (StringAttr axis : now.getUnreduced())
        if (!llvm::is_contained(reduced, axis))
          left.push_back(axis);
      add(ReshardStep::AllReduce, 0, reduced, now.getDims(), left, now.getReduce());
    }
    for (size_t d = 0; d < to.getDims().size(); ++d)
      if (now.getDims()[d] != to.getDims()[d] && !now.getDims()[d].getAxes().empty())
        setDim(ReshardStep::AllGather, d, DimShardingAttr::get(to.getContext(), {}, 1), now.getDims()[d].getAxes());
    for (size_t d = 0; d < to.getDims().size(); ++d)
      if (now.getDims()[d] != to.getDims()[d])
        setDim(ReshardStep::Slice, d, to.getDims()[d], to.getDims()[d].getAxes());
    for (StringAttr axis : to.getUnreduced())
      if (!llvm::is_contained(now.getUnreduced(), axis))
        kept.push_back(axis);
    if (!kept.empty() && to.getReduce() != ReduceKind::Sum)
      return failure();
    if (!kept.empty())
      add(ReshardStep::KeepFirst, 0, kept, now.getDims(), to.getUnreduced(), to.getReduce());
    return steps;
  }

private:
  void setDim(ReshardStep::Kind kind, size_t d, DimShardingAttr dim, ArrayRef<StringAttr> axes) {
    SmallVector<DimShardingAttr> dims(now.getDims());
    dims[d] = dim;
    add(kind, static_cast<int64_t>(d), axes, dims, now.getUnreduced(), now.getReduce());
  }

  void add(ReshardStep::Kind kind, int64_t dim, ArrayRef<StringAttr> axes, ArrayRef<DimShardingAttr> dims,
           ArrayRef<StringAttr> unreduced, ReduceKind reduce) {
    now =
        ShardingAttr::get(to.getContext(), to.getMesh(), dims, unreduced, unreduced.empty() ? ReduceKind::Sum : reduce);
    steps.push_back({kind, dim, 0, SmallVector<StringAttr>(axes), {}, now});
  }

  ShardingAttr now, to;
  Steps steps;
};

bool isValid(ShardingAttr sharding, RankedTensorType type, MeshAttr mesh) {
  auto known = [&](StringAttr axis) { return static_cast<bool>(mesh.find(axis)); };
  return static_cast<int64_t>(sharding.getDims().size()) == type.getRank() &&
         llvm::all_of(sharding.getUnreduced(), known) &&
         llvm::all_of(sharding.getDims(), [&](DimShardingAttr dim) { return llvm::all_of(dim.getAxes(), known); });
}

FailureOr<Steps> search(ShardingAttr from, ShardingAttr to, RankedTensorType type, MeshAttr mesh, ReshardPrice price) {
  ReshardGraph graph(from, to, type, mesh);
  if (graph.fits())
    if (FailureOr<Steps> steps = Search(graph, price).run(); succeeded(steps))
      return steps;
  return Detour(from, to).run();
}

} // namespace

FailureOr<Steps> mpopt::shd::findReshard(ShardingAttr from, ShardingAttr to, RankedTensorType type, MeshAttr mesh,
                                         ReshardPrice price) {
  if (!isValid(from, type, mesh) || !isValid(to, type, mesh))
    return failure();
  from = from.canonical(type.getShape(), mesh);
  to = to.canonical(type.getShape(), mesh);
  if (from == to)
    return Steps();
  bool kindChanges = !from.getUnreduced().empty() && !to.getUnreduced().empty() && from.getReduce() != to.getReduce();
  if (!kindChanges)
    return search(from, to, type, mesh, price);
  // Partial under another kind of reduction: end the one before the other begins.
  auto between = ShardingAttr::get(to.getContext(), to.getMesh(), to.getDims(), {}, ReduceKind::Sum);
  FailureOr<Steps> first = search(from, between, type, mesh, price);
  FailureOr<Steps> second = search(between, to, type, mesh, price);
  if (failed(first) || failed(second))
    return failure();
  llvm::append_range(*first, *second);
  return first;
}

double mpopt::shd::defaultReshardPrice(const ReshardStep &step, double bytesIn, double bytesOut, MeshAttr mesh) {
  auto devices = static_cast<double>(mesh.sizeOf(step.axes));
  double others = (devices - 1) / devices;
  constexpr double kLocalStep = 1, kStep = 64;
  switch (step.kind) {
  case ReshardStep::Slice:
  case ReshardStep::KeepFirst:
    return kLocalStep;
  case ReshardStep::AllGather:
    return kStep + bytesIn * (devices - 1);
  case ReshardStep::AllReduce:
    return kStep + 2 * bytesIn * others;
  case ReshardStep::ReduceScatter:
  case ReshardStep::AllToAll:
    return kStep + bytesIn * others;
  case ReshardStep::Permute:
    return kStep + bytesIn;
  }
  return 0;
}
