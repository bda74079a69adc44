#include "ReshardTable.h"
#include "mpopt/Dialect/Shd/Blocks.h"
#include "mpopt/Search/Problem.h"

using namespace mlir;

namespace mpopt::planning {

using Step = shd::ReshardStep;

/// States beyond which single searches are cheaper than a table.
static constexpr size_t kMostStates = 20000;

PlainSharding PlainSharding::of(shd::ShardingAttr sharding, const PlanMesh &mesh) {
  PlainSharding plain;
  auto numbered = [&](ArrayRef<StringAttr> names) {
    return llvm::map_to_vector<4>(names, [&](StringAttr name) { return mesh.indexOf(name); });
  };
  for (shd::DimShardingAttr dim : sharding.getDims()) {
    plain.dims.push_back(numbered(dim.getAxes()));
    plain.blocks.push_back(dim.getBlock());
  }
  plain.unreduced = numbered(sharding.getUnreduced());
  llvm::sort(plain.unreduced);
  plain.reduce = sharding.getReduce();
  return plain;
}

shd::ShardingAttr PlainSharding::attr(const PlanMesh &mesh) const {
  MLIRContext *context = mesh.attr.getContext();
  auto named = [&](ArrayRef<int> axes) { return llvm::map_to_vector(axes, [&](int axis) { return mesh.axes[axis]; }); };
  SmallVector<shd::DimShardingAttr> attrs;
  for (auto [axes, block] : llvm::zip_equal(dims, blocks))
    attrs.push_back(shd::DimShardingAttr::get(context, named(axes), block));
  return shd::ShardingAttr::get(context, mesh.symbol, attrs, named(unreduced), reduce);
}

ReshardTable::Key ReshardTable::State::key() const {
  Key key;
  for (const Axes &axes : dims) {
    llvm::append_range(key, axes);
    key.push_back(-1);
  }
  llvm::append_range(key, partial);
  key.push_back(-1);
  llvm::append_range(key, sizes);
  return key;
}

ReshardTable::ReshardTable(RankedTensorType type, double elementBytes, const PlanMesh &mesh)
    : type(type), elementBytes(elementBytes), mesh(mesh), blocks(type.getRank(), {1}) {
  build();
}

void ReshardTable::build() {
  ++builds;
  numbers.clear();
  bySplits.clear();
  states.clear();
  findSizes();
  State state;
  state.dims.resize(type.getRank());
  state.sizes.resize(type.getRank());
  enumerate(state, 0);
  edges.assign(states.size(), std::nullopt);
  searches.clear();
  searches.resize(states.size());
}

void ReshardTable::learnBlocks(const PlainSharding &sharding) {
  bool isNew = false;
  for (auto [d, axes] : llvm::enumerate(sharding.dims))
    if (!axes.empty())
      isNew |= blocks[d].insert(sharding.blocks[d]).second;
  if (isNew && fits)
    build();
}

/// Sizes of the parts of `dim` that a split into `ways` may be asked for.
std::vector<int64_t> ReshardTable::usefulSizes(size_t dim, int64_t ways) const {
  std::set<int64_t> useful;
  for (int64_t block : blocks[dim])
    useful.insert(shd::localSize(type.getDimSize(dim), block, ways));
  return {useful.begin(), useful.end()};
}

/// Beside the useful ones those that come about when parts are joined; of these only such as are a split in whole blocks.
void ReshardTable::findSizes() {
  int64_t devices = 1;
  for (const machine::MeshAxis &axis : mesh.mesh.axes)
    devices *= axis.size;
  sizes.assign(type.getRank(), {});
  for (auto [dim, whole] : llvm::enumerate(type.getShape()))
    for (int64_t ways = devices; ways >= 1; --ways) {
      if (devices % ways)
        continue;
      std::set<int64_t> &here = sizes[dim][ways];
      for (int64_t size : usefulSizes(dim, ways))
        here.insert(size);
      for (const auto &[more, parts] : sizes[dim])
        for (int64_t part : parts)
          if (ways > 1 && more > ways && more % ways == 0 && shd::blockThatGives(whole, part * (more / ways), ways))
            here.insert(part * (more / ways));
    }
}

/// Axis `axis` and those after it go to every place of every dimension, to partiality, and to nothing.
void ReshardTable::enumerate(State &state, int axis) {
  if (!fits)
    return;
  if (axis == static_cast<int>(mesh.size()))
    return enumerateSizes(state, 0);
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

void ReshardTable::enumerateSizes(State &state, size_t dim) {
  if (dim < state.dims.size()) {
    for (int64_t size : sizes[dim].at(ways(state.dims[dim]))) {
      state.sizes[dim] = size;
      enumerateSizes(state, dim + 1);
    }
    return;
  }
  fits = states.size() < kMostStates;
  numbers[state.key()] = states.size();
  bySplits[splits(state)].push_back(states.size());
  states.push_back(state);
}

std::optional<int> ReshardTable::numberOf(const PlainSharding &sharding) {
  learnBlocks(sharding);
  if (!fits || (!sharding.unreduced.empty() && sharding.reduce != shd::ReduceKind::Sum))
    return std::nullopt;
  State state;
  state.dims = sharding.dims;
  for (auto [d, axes] : llvm::enumerate(sharding.dims))
    state.sizes.push_back(shd::localSize(type.getDimSize(d), sharding.blocks[d], ways(axes)));
  state.partial = sharding.unreduced;
  auto it = numbers.find(state.key());
  return it == numbers.end() ? std::nullopt : std::optional(it->second);
}

double ReshardTable::find(int from, int to, Price price) {
  if (!searches[from]) {
    searches[from] = std::make_unique<Search>();
    searches[from]->least.assign(states.size(), search::kForbidden);
    searches[from]->settled.assign(states.size(), false);
    searches[from]->permuted.assign(states.size(), false);
    searches[from]->least[from] = 0;
    searches[from]->open.push({0, from});
  }
  Search &search = *searches[from];
  while (!search.settled[to] && !search.open.empty()) {
    int state = search.open.top().second;
    search.open.pop();
    if (!std::exchange(search.settled[state], true))
      relax(search, state, price);
  }
  return search.least[to];
}

void ReshardTable::relax(Search &search, int state, Price price) {
  for (const Edge &edge : edgesOf(state, price)) {
    if (edge.isPermute && search.permuted[state]) // two are never better than one
      continue;
    double total = search.least[state] + edge.seconds;
    if (total >= search.least[edge.to])
      continue;
    search.least[edge.to] = total;
    search.permuted[edge.to] = edge.isPermute;
    search.open.push({total, edge.to});
  }
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
      State rest = state;
      drop(rest.idle, axes);
      forEachSplit(rest, dim, axes, [&](const State &next) { addEdge(Step::Slice, axes, state, next, price); });
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
      State rest = state;
      drop(rest.partial, axes);
      forEachSplit(rest, dim, axes, [&](const State &next) { addEdge(Step::ReduceScatter, axes, state, next, price); });
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
          forEachSplit(*joined, other, axes,
                       [&](const State &next) { addEdge(Step::AllToAll, axes, state, next, price); });
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
  current->push_back({numbers.at(to.key()), price(kind, axes, bytes(from), bytes(to)), kind == Step::Permute});
}

int64_t ReshardTable::ways(ArrayRef<int> axes) const {
  int64_t product = 1;
  for (int axis : axes)
    product *= mesh.mesh.axes[axis].size;
  return product;
}

double ReshardTable::bytes(const State &state) const {
  double product = elementBytes;
  for (int64_t size : state.sizes)
    product *= static_cast<double>(size);
  return product;
}

std::vector<int64_t> ReshardTable::splits(const State &state) const {
  std::vector<int64_t> result;
  for (const Axes &axes : state.dims)
    result.push_back(ways(axes));
  llvm::append_range(result, state.sizes);
  result.push_back(ways(state.partial));
  return result;
}

/// Splits `dim` further. An uneven split lies as one of the whole dimension does only where the sizes say so.
void ReshardTable::forEachSplit(const State &state, size_t dim, ArrayRef<int> axes,
                                llvm::function_ref<void(const State &)> visit) const {
  State next = state;
  llvm::append_range(next.dims[dim], axes);
  for (int64_t size : usefulSizes(dim, ways(next.dims[dim]))) {
    if (!state.dims[dim].empty() && size * ways(axes) != state.sizes[dim])
      continue;
    next.sizes[dim] = size;
    visit(next);
  }
}

std::optional<ReshardTable::State> ReshardTable::join(State state, size_t dim, size_t count) const {
  Axes &held = state.dims[dim];
  int64_t size = state.sizes[dim] * ways(ArrayRef(held).take_back(count));
  held.truncate(held.size() - count);
  if (held.empty())
    size = type.getDimSize(dim);
  if (!sizes[dim].at(ways(held)).contains(size))
    return std::nullopt;
  state.sizes[dim] = size;
  return state;
}

} // namespace mpopt::planning
