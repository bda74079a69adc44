#include "Prices.h"
#include "mpopt/Cost/Collective.h"
#include "mpopt/Search/Problem.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

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
  }
  llvm_unreachable("all kinds are listed");
}

} // namespace

unsigned Prices::intern(shd::ShardingAttr sharding) {
  auto [it, isNew] = ids.try_emplace(sharding, shardings.size());
  if (isNew)
    shardings.push_back(sharding);
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
  llvm::DenseMap<std::pair<unsigned, unsigned>, double> &known = reshards[type];
  if (auto it = known.find({from, to}); it != known.end())
    return it->second;
  std::pair<unsigned, unsigned> plain = relabelled(from, to);
  auto [it, isNew] = known.try_emplace(plain, 0);
  if (isNew)
    it->second = findReshard(plain.first, plain.second, type);
  return known[{from, to}] = it->second;
}

/// The same two shardings with axes renamed in order of use. Axes that nothing tells apart cost the same, so one search serves all such pairs.
std::pair<unsigned, unsigned> Prices::relabelled(unsigned from, unsigned to) {
  SmallVector<int> names(mesh.size(), -1);
  SmallVector<bool> taken(mesh.size(), false);
  auto rename = [&](StringAttr name) {
    int axis = mesh.indexOf(name);
    for (size_t other = 0; names[axis] < 0; ++other) {
      const machine::MeshAxis &a = mesh.mesh.axes[axis], &b = mesh.mesh.axes[other];
      if (a.level != b.level || a.size != b.size || taken[other])
        continue;
      taken[other] = true;
      names[axis] = other;
    }
    return mesh.axes[names[axis]];
  };
  auto apply = [&](shd::ShardingAttr sharding, bool partial) {
    MLIRContext *context = sharding.getContext();
    SmallVector<shd::DimShardingAttr> dims;
    for (shd::DimShardingAttr dim : sharding.getDims())
      dims.push_back(shd::DimShardingAttr::get(context, llvm::map_to_vector(dim.getAxes(), rename), dim.getBlock()));
    SmallVector<StringAttr> unreduced;
    if (partial)
      unreduced = llvm::map_to_vector(sharding.getUnreduced(), rename);
    llvm::sort(unreduced, [&](StringAttr a, StringAttr b) { return mesh.indexOf(a) < mesh.indexOf(b); });
    return shd::ShardingAttr::get(context, sharding.getMesh(), dims, unreduced, sharding.getReduce());
  };
  // First the dimensions, where the order of axes counts, so that more pairs come out equal.
  apply(shardings[from], false);
  apply(shardings[to], false);
  shd::ShardingAttr first = apply(shardings[from], true), second = apply(shardings[to], true);
  return {intern(first), intern(second)};
}

double Prices::findReshard(unsigned from, unsigned to, RankedTensorType type) {
  auto [table, isNew] =
      tables.try_emplace(type.getAsOpaquePointer(), type, machine::bytesOf(dtypeOf(type.getElementType())), mesh);
  auto price = [&](shd::ReshardStep::Kind kind, ArrayRef<int> axes, double in, double out) {
    return step(kind, axes, in, out);
  };
  if (std::optional<double> seconds = table->second.find(shardings[from], shardings[to], price))
    return *seconds;
  return searchReshard(from, to, type);
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

double Prices::step(shd::ReshardStep::Kind kind, ArrayRef<int> axes, double bytesIn, double bytesOut) const {
  if (kind == shd::ReshardStep::Slice || kind == shd::ReshardStep::KeepFirst)
    return cost::memorySeconds(machine, bytesOut);
  return cost::collectiveSeconds(machine, mesh.mesh, axes, collectiveOf(kind), bytesIn);
}

cost::OpCost Prices::costOf(const shd::OpWork &work, Type element) const {
  cost::OpCost op;
  if (work.matmul)
    op.matmuls.push_back({dtypeOf(element), work.matmul->batch, work.matmul->m, work.matmul->n, work.matmul->k});
  else
    op.vectorFlops = work.flops;
  op.bytesRead = work.bytesRead;
  op.bytesWritten = work.bytesWritten;
  return op;
}

double Prices::compute(const shd::OpWork &work, Type element) const {
  return cost::opSeconds(machine, costOf(work, element));
}

cost::OpTimes Prices::times(const shd::OpWork &work, Type element) const {
  return cost::opTimes(machine, costOf(work, element));
}

double Prices::internalComm(const shd::OpWork &work, const shd::FactorSharding &strategy) const {
  double seconds = 0;
  for (const shd::OpWork::Internal &internal : work.internal)
    if (ArrayRef<StringAttr> axes = strategy.axes[internal.factor]; !axes.empty())
      seconds +=
          cost::collectiveSeconds(machine, mesh.mesh, indices(axes), collectiveOf(internal.kind), internal.bytes);
  return seconds;
}

SmallVector<int> Prices::indices(ArrayRef<StringAttr> axes) const {
  return llvm::map_to_vector(axes, [&](StringAttr axis) { return mesh.indexOf(axis); });
}

} // namespace mpopt::planning
