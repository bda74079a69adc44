#include "ReshardTable.h"
#include "mpopt/Search/Problem.h"
#include <queue>

using namespace mlir;

namespace mpopt::planning {

using Step = shd::ReshardStep;

/// States beyond which single searches are cheaper than a table.
static constexpr size_t kMostStates = 5000;

std::vector<int> ReshardTable::State::key() const {
  std::vector<int> key;
  for (const Axes &axes : dims) {
    llvm::append_range(key, axes);
    key.push_back(-1);
  }
  llvm::append_range(key, partial);
  return key;
}

ReshardTable::ReshardTable(RankedTensorType type, double elementBytes, const PlanMesh &mesh)
    : type(type), elementBytes(elementBytes), mesh(mesh) {
  State state;
  state.dims.resize(type.getRank());
  enumerate(state, 0);
  edges.resize(states.size());
  prices.resize(states.size());
}

/// Axis `axis` and those after it go to every place of every dimension, to partiality, and to nothing.
void ReshardTable::enumerate(State &state, int axis) {
  if (!fits)
    return;
  if (axis == static_cast<int>(mesh.size())) {
    fits = states.size() < kMostStates;
    numbers[state.key()] = states.size();
    bySplits[splits(state)].push_back(states.size());
    states.push_back(state);
    return;
  }
  for (Axes *rest : {&state.idle, &state.partial}) {
    rest->push_back(axis);
    enumerate(state, axis + 1);
    rest->pop_back();
  }
  for (Axes &dim : state.dims)
    for (size_t place = 0; place <= dim.size(); ++place) {
      dim.insert(dim.begin() + place, axis);
      enumerate(state, axis + 1);
      dim.erase(dim.begin() + place);
    }
}

std::optional<int> ReshardTable::numberOf(shd::ShardingAttr sharding) const {
  auto numbered = [&](ArrayRef<StringAttr> names) {
    return llvm::map_to_vector<4>(names, [&](StringAttr name) { return mesh.indexOf(name); });
  };
  State state;
  for (shd::DimShardingAttr dim : sharding.getDims()) {
    if (dim.getBlock() != 1)
      return std::nullopt;
    state.dims.push_back(numbered(dim.getAxes()));
  }
  if (!sharding.getUnreduced().empty() && sharding.getReduce() != shd::ReduceKind::Sum)
    return std::nullopt;
  state.partial = numbered(sharding.getUnreduced());
  llvm::sort(state.partial);
  auto it = numbers.find(state.key());
  return it == numbers.end() ? std::nullopt : std::optional(it->second);
}

std::optional<double> ReshardTable::find(shd::ShardingAttr from, shd::ShardingAttr to, Price price) {
  std::optional<int> source = numberOf(from), target = numberOf(to);
  if (!fits || !source || !target)
    return std::nullopt;
  return pricesFrom(*source, price)[*target];
}

const std::vector<double> &ReshardTable::pricesFrom(int source, Price price) {
  std::vector<double> &least = prices[source];
  if (!least.empty())
    return least;
  least.assign(states.size(), search::kForbidden);
  least[source] = 0;
  using Entry = std::pair<double, int>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
  open.push({0, source});
  while (!open.empty()) {
    auto [seconds, state] = open.top();
    open.pop();
    if (seconds > least[state])
      continue;
    for (const Edge &edge : edgesOf(state, price))
      if (double total = seconds + edge.seconds; total < least[edge.to]) {
        least[edge.to] = total;
        open.push({total, edge.to});
      }
  }
  return least;
}

const std::vector<ReshardTable::Edge> &ReshardTable::edgesOf(int number, Price price) {
  if (!edges[number]) {
    current = &edges[number].emplace();
    addSlices(states[number], price);
    addReductions(states[number], price);
    addGathers(states[number], price);
    addPermutes(number, price);
  }
  return *edges[number];
}

/// Calls `visit` with every sequence of some of the axes.
static void eachOrder(ArrayRef<int> axes, llvm::function_ref<void(ArrayRef<int>)> visit) {
  SmallVector<int, 4> order;
  auto extend = [&](auto &self) -> void {
    for (int axis : axes) {
      if (llvm::is_contained(order, axis))
        continue;
      order.push_back(axis);
      visit(order);
      self(self);
      order.pop_back();
    }
  };
  extend(extend);
}

static void eachSubset(ArrayRef<int> axes, llvm::function_ref<void(ArrayRef<int>)> visit) {
  for (unsigned mask = 1; mask < 1u << axes.size(); ++mask) {
    SmallVector<int, 4> some;
    for (size_t i = 0; i < axes.size(); ++i)
      if (mask >> i & 1)
        some.push_back(axes[i]);
    visit(some);
  }
}

static void drop(SmallVector<int, 4> &from, ArrayRef<int> axes) {
  llvm::erase_if(from, [&](int axis) { return llvm::is_contained(axes, axis); });
}

static void add(SmallVector<int, 4> &to, ArrayRef<int> axes) {
  llvm::append_range(to, axes);
  llvm::sort(to);
}

void ReshardTable::addSlices(const State &state, Price price) {
  for (size_t dim = 0; dim < state.dims.size(); ++dim)
    eachOrder(state.idle, [&](ArrayRef<int> axes) {
      State next = state;
      drop(next.idle, axes);
      if (std::optional<State> done = split(next, dim, axes))
        addEdge(Step::Slice, axes, state, *done, price);
    });
  eachSubset(state.idle, [&](ArrayRef<int> axes) {
    State next = state;
    drop(next.idle, axes);
    add(next.partial, axes);
    addEdge(Step::KeepFirst, axes, state, next, price);
  });
}

void ReshardTable::addReductions(const State &state, Price price) {
  eachSubset(state.partial, [&](ArrayRef<int> axes) {
    State next = state;
    drop(next.partial, axes);
    add(next.idle, axes);
    addEdge(Step::AllReduce, axes, state, next, price);
  });
  for (size_t dim = 0; dim < state.dims.size(); ++dim)
    eachOrder(state.partial, [&](ArrayRef<int> axes) {
      State next = state;
      drop(next.partial, axes);
      if (std::optional<State> done = split(next, dim, axes))
        addEdge(Step::ReduceScatter, axes, state, *done, price);
    });
}

void ReshardTable::addGathers(const State &state, Price price) {
  for (size_t dim = 0; dim < state.dims.size(); ++dim)
    for (size_t count = 1; count <= state.dims[dim].size(); ++count) {
      Axes axes(ArrayRef(state.dims[dim]).take_back(count));
      std::optional<State> joined = join(state, dim, count);
      if (!joined)
        continue;
      for (size_t other = 0; other < state.dims.size(); ++other)
        if (other != dim)
          if (std::optional<State> next = split(*joined, other, axes))
            addEdge(Step::AllToAll, axes, state, *next, price);
      add(joined->idle, axes);
      addEdge(Step::AllGather, axes, state, *joined, price);
    }
}

/// To every state of the same splits; the axes that take part are those whose meaning changes.
void ReshardTable::addPermutes(int number, Price price) {
  const State &state = states[number];
  auto meaning = [&](const State &of, int axis) {
    for (auto [dim, axes] : llvm::enumerate(of.dims))
      if (const int *it = llvm::find(axes, axis); it != axes.end())
        return std::pair<int64_t, int64_t>(dim, ways(ArrayRef<int>(it + 1, axes.end())));
    return std::pair<int64_t, int64_t>(llvm::is_contained(of.partial, axis) ? -1 : -2, 0);
  };
  for (int other : bySplits[splits(state)]) {
    Axes moving;
    for (int axis = 0; axis < static_cast<int>(mesh.size()); ++axis)
      if (meaning(state, axis) != meaning(states[other], axis))
        moving.push_back(axis);
    if (!moving.empty())
      addEdge(Step::Permute, moving, state, states[other], price);
  }
}

void ReshardTable::addEdge(Kind kind, ArrayRef<int> axes, const State &from, const State &to, Price price) {
  current->push_back({numbers.at(to.key()), price(kind, axes, bytes(from), bytes(to))});
}

int64_t ReshardTable::ways(ArrayRef<int> axes) const {
  int64_t product = 1;
  for (int axis : axes)
    product *= mesh.mesh.axes[axis].size;
  return product;
}

int64_t ReshardTable::local(size_t dim, ArrayRef<int> axes) const {
  return llvm::divideCeilSigned(type.getDimSize(dim), ways(axes));
}

double ReshardTable::bytes(const State &state) const {
  double product = elementBytes;
  for (auto [dim, axes] : llvm::enumerate(state.dims))
    product *= local(dim, axes);
  return product;
}

std::vector<int64_t> ReshardTable::splits(const State &state) const {
  std::vector<int64_t> result;
  for (const Axes &axes : state.dims)
    result.push_back(ways(axes));
  result.push_back(ways(state.partial));
  return result;
}

/// Splits `dim` further. An uneven split lies as one of the whole dimension does only where the sizes say so.
std::optional<ReshardTable::State> ReshardTable::split(State state, size_t dim, ArrayRef<int> axes) const {
  Axes &held = state.dims[dim];
  int64_t before = local(dim, held);
  bool whole = held.empty();
  llvm::append_range(held, axes);
  if (!whole && local(dim, held) * ways(axes) != before)
    return std::nullopt;
  return state;
}

std::optional<ReshardTable::State> ReshardTable::join(State state, size_t dim, size_t count) const {
  Axes &held = state.dims[dim];
  int64_t size = local(dim, held) * ways(ArrayRef(held).take_back(count));
  held.truncate(held.size() - count);
  if (!held.empty() && size != local(dim, held))
    return std::nullopt;
  return state;
}

} // namespace mpopt::planning
