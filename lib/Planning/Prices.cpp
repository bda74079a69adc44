#include "Prices.h"
#include "Fusing.h"
#include "mpopt/Cost/Collective.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Search/Problem.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

/// Meshes with more axes than this are priced with runs of axes as one.
constexpr size_t kMostSingleAxes = 3;
/// On meshes with more axes than this, ways that take more runs than kMostRuns go through shardings of whole link levels.
constexpr size_t kMostFusedAxes = 4, kMostRuns = 3;

machine::DType dtypeOf(Type type) {
  using machine::DType;
  if (type.isF64())
    return DType::F64;
  if (type.isBF16())
    return DType::BF16;
  if (type.isF16())
    return DType::F16;
  if (isa<FloatType>(type))
    return type.getIntOrFloatBitWidth() <= 8 ? DType::I8 : DType::F32;
  switch (type.getIntOrFloatBitWidth()) {
  case 1:
    return DType::Bool;
  case 4:
    return DType::I4;
  case 8:
    return DType::I8;
  case 16:
    return DType::I16;
  case 32:
    return DType::I32;
  default:
    return DType::I64;
  }
}

cost::Collective collectiveOf(shd::ReshardStep::Kind kind) {
  switch (kind) {
  case shd::ReshardStep::AllGather:
    return cost::Collective::AllGather;
  case shd::ReshardStep::ReduceScatter:
    return cost::Collective::ReduceScatter;
  case shd::ReshardStep::AllToAll:
    return cost::Collective::AllToAll;
  case shd::ReshardStep::Permute:
    return cost::Collective::Permute;
  default:
    return cost::Collective::AllReduce;
  }
}

cost::Collective collectiveOf(shd::OpWork::Internal::Kind kind) {
  switch (kind) {
  case shd::OpWork::Internal::AllReduce:
    return cost::Collective::AllReduce;
  case shd::OpWork::Internal::AllGather:
    return cost::Collective::AllGather;
  case shd::OpWork::Internal::Halo:
    return cost::Collective::Halo;
  case shd::OpWork::Internal::Route:
    return cost::Collective::AllToAll;
  }
  llvm_unreachable("all kinds are listed");
}

/// The axes over which a collective inside an operator works.
SmallVector<StringAttr> axesOf(const shd::OpWork::Internal &internal, const shd::PartitionRule &rule,
                               const shd::FactorSharding &strategy) {
  return internal.kind == shd::OpWork::Internal::Route ? shd::getRoutedAxes(rule, strategy)
                                                       : strategy.axes[internal.factor];
}

} // namespace

double weightBytesOf(func::FuncOp main) {
  llvm::DenseSet<Value> seen;
  double bytes = 0;
  for (Operation &op : main.getBody().front()) {
    if (op.getNumResults() && nn::isInitTime(op.getResult(0)))
      continue;
    for (Value operand : op.getOperands())
      if (auto type = dyn_cast<RankedTensorType>(operand.getType());
          type && seen.insert(operand).second && nn::isInitTime(operand))
        bytes += static_cast<double>(type.getNumElements()) * machine::bytesOf(dtypeOf(type.getElementType()));
  }
  return bytes;
}

unsigned Prices::intern(shd::ShardingAttr sharding) {
  auto [it, isNew] = ids.try_emplace(sharding, shardings.size());
  if (isNew) {
    shardings.push_back(sharding);
    plains.push_back(PlainSharding::of(sharding, mesh));
  }
  return it->second;
}

SmallVector<shd::ShardingAttr> Prices::all(ArrayRef<unsigned> ids) const {
  return llvm::map_to_vector(ids, [&](unsigned id) { return shardings[id]; });
}

int64_t Prices::localBytes(unsigned sharding, RankedTensorType type) const {
  int64_t elements = 1;
  for (int64_t size : shardings[sharding].getLocalShape(type.getShape(), mesh.attr))
    elements *= size;
  return static_cast<int64_t>(elements * machine::bytesOf(dtypeOf(type.getElementType())));
}

double Prices::reshard(unsigned from, unsigned to, RankedTensorType type) {
  if (from == to)
    return 0;
  if (mesh.size() > kMostSingleAxes)
    return reshardFused(from, to, type);
  llvm::DenseMap<std::pair<unsigned, unsigned>, double> &known = reshards[type];
  auto [it, isNew] = known.try_emplace({from, to}, 0);
  if (!isNew)
    return it->second;
  double seconds = findReshard(from, to, type);
  return known[{from, to}] = seconds;
}

/// Axes that nothing tells apart cost the same. Renaming them in the order in which a sharding uses them lets one search serve all shardings
/// that are the same but for their names. Returns the number of the renaming.
unsigned Prices::renamingOf(unsigned id) {
  if (renamingIds.size() <= id)
    renamingIds.resize(plains.size(), -1);
  if (renamingIds[id] >= 0)
    return renamingIds[id];
  Renaming names(mesh.size(), -1);
  SmallVector<bool, 16> taken(mesh.size(), false);
  auto rename = [&](int axis) {
    for (size_t other = 0; names[axis] < 0; ++other) {
      const machine::MeshAxis &a = mesh.mesh.axes[axis], &b = mesh.mesh.axes[other];
      if (a.level != b.level || a.size != b.size || taken[other])
        continue;
      taken[other] = true;
      names[axis] = static_cast<int>(other);
    }
  };
  for (const PlainSharding::Axes &axes : plains[id].dims)
    llvm::for_each(axes, rename);
  llvm::for_each(plains[id].unreduced, rename);
  for (int axis = 0; axis < static_cast<int>(mesh.size()); ++axis)
    rename(axis);
  auto *found = llvm::find(renamings, names);
  unsigned number = found - renamings.begin();
  if (found == renamings.end())
    renamings.push_back(names);
  return renamingIds[id] = static_cast<int>(number);
}

PlainSharding Prices::renamed(unsigned id, unsigned renaming) const {
  PlainSharding sharding = plains[id];
  auto rename = [&](int &axis) { axis = renamings[renaming][axis]; };
  for (PlainSharding::Axes &axes : sharding.dims)
    llvm::for_each(axes, rename);
  llvm::for_each(sharding.unreduced, rename);
  llvm::sort(sharding.unreduced);
  return sharding;
}

/// The number of a renamed sharding in the table; -1 where it has none.
int Prices::Numbered::numberOf(const Prices &prices, unsigned id, unsigned renaming) {
  constexpr int kUnknown = -2;
  if (numbers.size() <= renaming)
    numbers.resize(renaming + 1);
  if (numbers[renaming].size() <= id)
    numbers[renaming].resize(prices.plains.size(), kUnknown);
  if (int known = numbers[renaming][id]; known != kUnknown)
    return known;
  unsigned before = table.generation();
  int number = table.numberOf(prices.renamed(id, renaming)).value_or(-1);
  if (table.generation() != before)
    for (std::vector<int> &all : numbers)
      llvm::fill(all, kUnknown);
  return numbers[renaming][id] = number;
}

double Prices::findReshard(unsigned from, unsigned to, RankedTensorType type) {
  auto it = tables.find(type.getAsOpaquePointer());
  if (it == tables.end()) {
    ReshardTable table(type, machine::bytesOf(dtypeOf(type.getElementType())), mesh);
    it = tables.emplace(type.getAsOpaquePointer(), Numbered{std::move(table), {}}).first;
  }
  Numbered &numbered = it->second;
  auto price = [&](shd::ReshardStep::Kind kind, ArrayRef<int> axes, double in, double out) {
    return step(kind, axes, in, out);
  };
  unsigned renaming = renamingOf(from);
  numbered.numberOf(*this, from, renaming);
  int last = numbered.numberOf(*this, to, renaming), first = numbered.numberOf(*this, from, renaming);
  if (first >= 0 && last >= 0)
    return numbered.table.find(first, last, price);
  std::pair<unsigned, unsigned> plain(intern(renamed(from, renaming).attr(mesh)),
                                      intern(renamed(to, renaming).attr(mesh)));
  auto [entry, isUnknown] = searched[type].try_emplace(plain, 0);
  if (isUnknown)
    entry->second = searchReshard(plain.first, plain.second, type);
  return entry->second;
}

unsigned Prices::renamedId(unsigned id, unsigned renaming) {
  if (renamedIds.size() <= renaming)
    renamedIds.resize(renaming + 1);
  if (renamedIds[renaming].size() <= id)
    renamedIds[renaming].resize(id + 1, -1);
  if (renamedIds[renaming][id] < 0)
    renamedIds[renaming][id] = static_cast<int>(intern(renamed(id, renaming).attr(mesh)));
  return renamedIds[renaming][id];
}

double Prices::reshardFused(unsigned from, unsigned to, RankedTensorType type) {
  if (mesh.size() > kMostFusedAxes && commonRuns(plains[from], plains[to], mesh).size() > kMostRuns)
    if (double seconds = throughLevels(from, to, type); seconds != search::kForbidden)
      return seconds;
  return reshardByTable(from, to, type);
}

double Prices::reshardByTable(unsigned from, unsigned to, RankedTensorType type) {
  unsigned renaming = renamingOf(from);
  std::pair<unsigned, unsigned> plain(renamedId(from, renaming), renamedId(to, renaming));
  auto [it, isNew] = reshards[type].try_emplace(plain, 0);
  if (isNew)
    it->second = findFused(plain.first, plain.second, type);
  return it->second;
}

/// By the table of the mesh in which axes that lie side by side before and after are one.
double Prices::findFused(unsigned from, unsigned to, RankedTensorType type) {
  if (from == to)
    return 0;
  AxisRuns runs = commonRuns(plains[from], plains[to], mesh);
  ReshardTable &table = fusedTable(runs, type);
  PlainSharding first = fused(plains[from], runs), last = fused(plains[to], runs);
  table.numberOf(first); // may learn blocks, and number all anew
  std::optional<int> end = table.numberOf(last), begin = table.numberOf(first);
  if (!begin || !end)
    return searchReshard(from, to, type);
  const machine::Mesh &own = fusedMeshes.at(runs).mesh;
  return table.find(*begin, *end, [&](shd::ReshardStep::Kind kind, ArrayRef<int> axes, double in, double out) {
    return step(own, kind, axes, in, out);
  });
}

/// Both ways, to a sharding of whole levels and from it, take few runs: their tables are small.
double Prices::throughLevels(unsigned from, unsigned to, RankedTensorType type) {
  auto [it, isNew] = levels.try_emplace(type);
  if (isNew)
    for (const PlainSharding &sharding : levelShardings(type, mesh))
      it->second.ids.push_back(intern(sharding.attr(mesh)));
  std::vector<unsigned> &ids = it->second.ids;
  auto row = [&](std::vector<std::vector<double>> &rows, unsigned id, auto price) -> const std::vector<double> & {
    if (rows.size() <= id)
      rows.resize(std::max<size_t>(plains.size(), id + 1));
    if (rows[id].empty())
      for (unsigned level : ids)
        rows[id].push_back(price(level));
    return rows[id];
  };
  const std::vector<double> &there =
      row(it->second.to, from, [&](unsigned level) { return reshardByTable(from, level, type); });
  const std::vector<double> &on =
      row(it->second.from, to, [&](unsigned level) { return reshardByTable(level, to, type); });
  double least = search::kForbidden;
  for (size_t i = 0; i < ids.size(); ++i)
    least = std::min(least, there[i] + on[i]);
  return least;
}

ReshardTable &Prices::fusedTable(const AxisRuns &runs, RankedTensorType type) {
  std::pair<const void *, AxisRuns> key(type.getAsOpaquePointer(), runs);
  auto it = fusedTables.find(key);
  if (it != fusedTables.end())
    return it->second;
  auto own = fusedMeshes.find(runs);
  if (own == fusedMeshes.end())
    own = fusedMeshes.emplace(runs, fusedMesh(mesh, runs)).first;
  ReshardTable table(type, machine::bytesOf(dtypeOf(type.getElementType())), own->second);
  return fusedTables.emplace(std::move(key), std::move(table)).first->second;
}

double Prices::searchReshard(unsigned from, unsigned to, RankedTensorType type) const {
  auto price = [&](const shd::ReshardStep &s, double in, double out) { return step(s, in, out); };
  FailureOr<SmallVector<shd::ReshardStep>> steps =
      shd::findReshard(shardings[from], shardings[to], type, mesh.attr, price);
  if (failed(steps))
    return search::kForbidden;
  auto bytes = [&](shd::ShardingAttr sharding) {
    double bytes = machine::bytesOf(dtypeOf(type.getElementType()));
    for (int64_t size : sharding.getLocalShape(type.getShape(), mesh.attr))
      bytes *= size;
    return bytes;
  };
  double in = bytes(shardings[from]), seconds = 0;
  for (const shd::ReshardStep &s : *steps) {
    double out = bytes(s.after);
    seconds += step(s, in, out);
    in = out;
  }
  return seconds;
}

double Prices::step(const machine::Mesh &own, shd::ReshardStep::Kind kind, ArrayRef<int> axes, double bytesIn,
                    double bytesOut) const {
  if (kind == shd::ReshardStep::Slice || kind == shd::ReshardStep::KeepFirst)
    return cost::memorySeconds(machine, bytesOut);
  return cost::collectiveSeconds(machine, own, axes, collectiveOf(kind), bytesIn);
}

cost::OpCost Prices::costOf(Operation *op, const shd::OpWork &work, ArrayRef<unsigned> in,
                            ArrayRef<unsigned> out) const {
  cost::OpCost cost;
  auto typeOf = [](Value value) { return cast<RankedTensorType>(value.getType()); };
  if (isa<nn::ReshapeOp>(op)) { // another name for the same bytes
    cost.launches = 0;
    return cost;
  }
  if (work.matmul)
    cost.matmuls.push_back({dtypeOf(typeOf(op->getResult(0)).getElementType()), work.matmul->batch, work.matmul->m,
                            work.matmul->n, work.matmul->k, isa<nn::AttentionOp>(op)});
  else
    cost.vectorFlops = work.flops;
  double read = work.bytesRead, written = work.bytesWritten, weights = 0;
  for (OpOperand &operand : op->getOpOperands()) {
    auto bytes = static_cast<double>(localBytes(in[operand.getOperandNumber()], typeOf(operand.get())));
    if (nn::isInitTime(operand.get()))
      weights += bytes;
    else if (isFused(operand))
      read -= bytes;
  }
  for (OpResult result : op->getResults())
    if (isFused(result)) {
      written -= static_cast<double>(localBytes(out[result.getResultNumber()], typeOf(result)));
      cost.launches = 0;
    }
  cost.bytesRead = std::max(0.0, read);
  cost.bytesWritten = std::max(0.0, written);
  weights = std::min(weights, cost.bytesRead);
  cost.bytesShared = held * weights;
  cost.bytesCold = weights - cost.bytesShared;
  return cost;
}

double Prices::internalComm(const shd::OpWork &work, const shd::PartitionRule &rule,
                            const shd::FactorSharding &strategy) const {
  double seconds = 0;
  for (const shd::OpWork::Internal &internal : work.internal)
    if (SmallVector<StringAttr> axes = axesOf(internal, rule, strategy); !axes.empty())
      seconds +=
          cost::collectiveSeconds(machine, mesh.mesh, indices(axes), collectiveOf(internal.kind), internal.bytes);
  return seconds;
}

int64_t Prices::internalRoom(const shd::OpWork &work, const shd::PartitionRule &rule,
                             const shd::FactorSharding &strategy) {
  double bytes = 0;
  for (const shd::OpWork::Internal &internal : work.internal)
    if (!axesOf(internal, rule, strategy).empty())
      bytes += internal.room;
  return static_cast<int64_t>(bytes);
}

SmallVector<int> Prices::indices(ArrayRef<StringAttr> axes) const {
  return llvm::map_to_vector(axes, [&](StringAttr axis) { return mesh.indexOf(axis); });
}

} // namespace mpopt::planning
