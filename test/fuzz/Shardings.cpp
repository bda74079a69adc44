#include "Shardings.h"
#include "mpopt/Dialect/Shd/Reshard.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::fuzz;

static FlatSymbolRefAttr meshName(MLIRContext *context) { return FlatSymbolRefAttr::get(context, "mesh"); }

shd::MeshAttr mpopt::fuzz::addMesh(ModuleOp module, ArrayRef<int64_t> sizes) {
  MLIRContext *context = module.getContext();
  SmallVector<shd::MeshAxisAttr> axes;
  for (auto [i, size] : llvm::enumerate(sizes))
    axes.push_back(shd::MeshAxisAttr::get(context, StringAttr::get(context, std::string(1, char('a' + i))), size, 0));
  auto mesh = shd::MeshAttr::get(context, axes);
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  shd::MeshOp::create(builder, module.getLoc(), "mesh", mesh);
  return mesh;
}

SmallVector<int64_t> mpopt::fuzz::randomMesh(Random &random) {
  static const std::vector<SmallVector<int64_t>> meshes = {{2}, {3}, {2, 2}, {2, 3}, {2, 2, 2}};
  return random.pick(meshes);
}

static ArrayAttr toArray(MLIRContext *context, ArrayRef<shd::ShardingAttr> shardings) {
  return ArrayAttr::get(context, SmallVector<Attribute>(shardings.begin(), shardings.end()));
}

LogicalResult mpopt::fuzz::apply(Operation *op, const shd::FactorSharding &strategy, shd::MeshAttr mesh) {
  shd::PartitionRule rule = cast<shd::PartitionInterface>(op).getPartitionRule();
  auto shardings = shd::getShardings(rule, strategy, meshName(op->getContext()), mesh);
  if (failed(shardings))
    return failure();
  op->setAttr(shd::kInAttr, toArray(op->getContext(), shardings->in));
  op->setAttr(shd::kOutAttr, toArray(op->getContext(), shardings->out));
  return success();
}

bool mpopt::fuzz::replicateOp(Operation *op, shd::MeshAttr mesh) {
  Attribute in = op->getAttr(shd::kInAttr), out = op->getAttr(shd::kOutAttr);
  shd::FactorSharding none;
  none.axes.resize(cast<shd::PartitionInterface>(op).getPartitionRule().factors.size());
  (void)apply(op, none, mesh);
  return op->getAttr(shd::kInAttr) != in || op->getAttr(shd::kOutAttr) != out;
}

static shd::ShardingAttr replicated(Type type) {
  return shd::ShardingAttr::replicated(meshName(type.getContext()), cast<RankedTensorType>(type).getRank());
}

bool mpopt::fuzz::replicateArg(func::FuncOp main, unsigned i) {
  Attribute before = main.getArgAttr(i, shd::kShardingAttr), after = replicated(main.getArgument(i).getType());
  main.setArgAttr(i, shd::kShardingAttr, after);
  return before != after;
}

bool mpopt::fuzz::replicateResult(func::FuncOp main, unsigned i) {
  Attribute before = main.getResultAttr(i, shd::kShardingAttr), after = replicated(main.getResultTypes()[i]);
  main.setResultAttr(i, shd::kShardingAttr, after);
  return before != after;
}

void mpopt::fuzz::replicate(Program &program, shd::MeshAttr mesh) {
  func::FuncOp main = program.main();
  for (unsigned i = 0; i < main.getNumArguments(); ++i)
    replicateArg(main, i);
  for (unsigned i = 0; i < main.getNumResults(); ++i)
    replicateResult(main, i);
  for (Operation &op : main.getBody().front().without_terminator())
    replicateOp(&op, mesh);
}

/// A sharding without partial sums, drawn at random.
static shd::ShardingAttr randomSharding(Type type, shd::MeshAttr mesh, Random &random) {
  ArrayRef<int64_t> shape = cast<RankedTensorType>(type).getShape();
  SmallVector<SmallVector<StringAttr>> axes(shape.size());
  for (shd::MeshAxisAttr axis : mesh.getAxes())
    if (!shape.empty() && random.chance(50))
      axes[random.below(static_cast<int64_t>(shape.size()))].push_back(axis.getName());
  SmallVector<shd::DimShardingAttr> dims;
  for (auto &one : axes) {
    if (random.chance(30))
      std::reverse(one.begin(), one.end());
    dims.push_back(shd::DimShardingAttr::get(type.getContext(), one, 1));
  }
  return shd::ShardingAttr::get(type.getContext(), meshName(type.getContext()), dims, {}, shd::ReduceKind::Sum);
}

/// The sharding in which a value is made.
static shd::ShardingAttr shardingOf(Value value) {
  if (auto result = dyn_cast<OpResult>(value))
    return cast<shd::ShardingAttr>(
        result.getOwner()->getAttrOfType<ArrayAttr>(shd::kOutAttr)[result.getResultNumber()]);
  auto argument = cast<BlockArgument>(value);
  return cast<func::FuncOp>(argument.getOwner()->getParentOp())
      .getArgAttrOfType<shd::ShardingAttr>(argument.getArgNumber(), shd::kShardingAttr);
}

namespace {

/// Draws a strategy axis by axis; what cannot be expressed is taken back. An axis that splits an operand, or over which it is partial,
/// often stays where it is, so that padding and partial sums travel through several operations.
class StrategyDraw {
public:
  StrategyDraw(Operation *op, shd::MeshAttr mesh, Random &random)
      : op(op), mesh(mesh), random(random), rule(cast<shd::PartitionInterface>(op).getPartitionRule()) {}

  shd::FactorSharding draw(bool mayBePartial) {
    shd::FactorSharding strategy;
    strategy.axes.resize(rule.factors.size());
    SmallVector<shd::MeshAxisAttr> axes(mesh.getAxes());
    if (random.chance(30))
      std::reverse(axes.begin(), axes.end());
    for (shd::MeshAxisAttr axis : axes) {
      shd::FactorSharding next = strategy;
      if (!(random.chance(60) && follow(next, axis.getName(), mayBePartial)))
        place(next, axis.getName(), mayBePartial);
      if (succeeded(shd::getShardings(rule, next, meshName(op->getContext()), mesh)))
        strategy = next;
      routeTokens(strategy, axis.getName());
    }
    return strategy;
  }

private:
  /// Uses the axis as some operand has it; false when none does.
  bool follow(shd::FactorSharding &next, StringAttr axis, bool mayBePartial) {
    for (auto [t, operand] : llvm::enumerate(op->getOperands())) {
      shd::ShardingAttr from = shardingOf(operand);
      if (mayBePartial && llvm::is_contained(from.getUnreduced(), axis) && makePartial(next, axis, t))
        return true;
      for (auto [dim, factors] : llvm::zip(from.getDims(), rule.operandDims[t]))
        if (!factors.empty() && llvm::is_contained(dim.getAxes(), axis)) {
          next.axes[random.chance(70) ? factors.front() : random.pick(factors)].push_back(axis);
          return true;
        }
    }
    return false;
  }

  /// Often splits the experts over an axis that splits tokens.
  void routeTokens(shd::FactorSharding &strategy, StringAttr axis) {
    shd::FactorSharding next = strategy;
    for (auto [factor, axes] : llvm::zip_equal(rule.factors, next.axes))
      if (factor.role == shd::FactorRole::Expert)
        axes.push_back(axis);
    if (shd::getRoutedAxes(rule, next).size() > shd::getRoutedAxes(rule, strategy).size() &&
        succeeded(shd::getShardings(rule, next, meshName(op->getContext()), mesh)) && random.chance(70))
      strategy = next;
  }

  bool makePartial(shd::FactorSharding &next, StringAttr axis, size_t operand) {
    for (auto [i, set] : llvm::enumerate(rule.linearIn))
      if (llvm::is_contained(set, static_cast<unsigned>(operand)) && (next.unreduced.empty() || next.linearSet == i)) {
        next.linearSet = i;
        next.unreduced.push_back(axis);
        return true;
      }
    return false;
  }

  void place(shd::FactorSharding &next, StringAttr axis, bool mayBePartial) {
    int64_t kind = random.below(10);
    if (kind < 7 && !rule.factors.empty()) {
      random.pick(next.axes).push_back(axis);
    } else if (kind == 7 && mayBePartial && !rule.linearIn.empty()) {
      if (next.unreduced.empty())
        next.linearSet = random.below(static_cast<int64_t>(rule.linearIn.size()));
      next.unreduced.push_back(axis);
    }
  }

  Operation *op;
  shd::MeshAttr mesh;
  Random &random;
  shd::PartitionRule rule;
};

} // namespace

/// Whether every operand can be had in the sharding that the operation wants.
static bool isReachable(Operation *op, shd::MeshAttr mesh) {
  auto price = [&](const shd::ReshardStep &step, double in, double out) {
    return shd::defaultReshardPrice(step, in, out, mesh);
  };
  for (auto [operand, wanted] : llvm::zip(op->getOperands(), op->getAttrOfType<ArrayAttr>(shd::kInAttr))) {
    if (failed(shd::findReshard(shardingOf(operand), cast<shd::ShardingAttr>(wanted),
                                cast<RankedTensorType>(operand.getType()), mesh, price)))
      return false;
  }
  return true;
}

void mpopt::fuzz::shardInputsAs(Operation *op) {
  auto main = cast<func::FuncOp>(op->getParentOp());
  for (auto [operand, wanted] : llvm::zip(op->getOperands(), op->getAttrOfType<ArrayAttr>(shd::kInAttr)))
    if (auto argument = dyn_cast<BlockArgument>(operand);
        argument && cast<shd::ShardingAttr>(wanted).getUnreduced().empty())
      main.setArgAttr(argument.getArgNumber(), shd::kShardingAttr, wanted);
}

void mpopt::fuzz::shardAtRandom(Program &program, shd::MeshAttr mesh, Random &random) {
  replicate(program, mesh);
  func::FuncOp main = program.main();
  for (unsigned i = 0; i < main.getNumArguments(); ++i)
    main.setArgAttr(i, shd::kShardingAttr, randomSharding(main.getArgument(i).getType(), mesh, random));
  for (unsigned i = 0; i < main.getNumResults(); ++i)
    main.setResultAttr(i, shd::kShardingAttr, randomSharding(main.getResultTypes()[i], mesh, random));
  for (Operation &op : main.getBody().front().without_terminator()) {
    (void)apply(&op, StrategyDraw(&op, mesh, random).draw(/*mayBePartial=*/true), mesh);
    if (!isReachable(&op, mesh))
      (void)apply(&op, StrategyDraw(&op, mesh, random).draw(/*mayBePartial=*/false), mesh);
  }
}
