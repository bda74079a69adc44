#include "Partitioner.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Partition/Passes.h"

using namespace mlir;
using namespace mpopt;
using shd::ShardingAttr;

namespace mpopt::partition {
#define GEN_PASS_DEF_VERIFYSHARDINGS
#include "mpopt/Partition/Passes.h.inc"

namespace {

class Verifier {
public:
  explicit Verifier(shd::MeshOp mesh) : mesh(mesh) {}

  LogicalResult verifyFunction(func::FuncOp func) {
    for (unsigned i = 0; i < func.getNumArguments(); ++i)
      if (failed(verifyPort(func, func.getArgumentTypes()[i], func.getArgAttr(i, shd::kShardingAttr),
                            "argument " + Twine(i))))
        return failure();
    for (unsigned i = 0; i < func.getNumResults(); ++i)
      if (failed(verifyPort(func, func.getResultTypes()[i], func.getResultAttr(i, shd::kShardingAttr),
                            "result " + Twine(i))))
        return failure();
    for (Operation &op : func.getBody().getOps())
      if (!initTime.add(&op) && failed(verifyOperation(&op)))
        return failure();
    return success();
  }

private:
  LogicalResult verifyPort(func::FuncOp func, Type type, Attribute attr, const Twine &what) {
    auto sharding = dyn_cast_or_null<ShardingAttr>(attr);
    if (!sharding)
      return func.emitError() << what << " needs shd.sharding";
    if (!sharding.getUnreduced().empty())
      return func.emitError() << what << " is partial; only values inside of @main may be";
    return verifySharding(func, type, sharding, what);
  }

  /// Mesh, axes and rank of one sharding.
  LogicalResult verifySharding(Operation *op, Type type, ShardingAttr sharding, const Twine &what) {
    if (sharding.getMesh().getValue() != mesh.getSymName())
      return op->emitError() << what << " is sharded over mesh " << sharding.getMesh() << ", which does not exist";
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || !tensor.hasStaticShape() || tensor.getRank() != static_cast<int64_t>(sharding.getDims().size()))
      return op->emitError() << what << " of type " << type << " cannot have the sharding " << sharding;
    SmallVector<StringAttr> axes(sharding.getUnreduced());
    for (auto [dim, size] : llvm::zip(sharding.getDims(), tensor.getShape())) {
      llvm::append_range(axes, dim.getAxes());
      if (dim.getBlock() != 1 && size % dim.getBlock())
        return op->emitError() << what << ": block " << dim.getBlock() << " does not divide a dimension of " << size;
    }
    for (StringAttr axis : axes)
      if (!mesh.getMesh().find(axis))
        return op->emitError() << what << ": mesh has no axis '" << axis.getValue() << "'";
    return success();
  }

  LogicalResult verifyOperation(Operation *op) {
    if (op->hasTrait<OpTrait::IsTerminator>())
      return success();
    bool isMessage = isa<coll::SendOp, coll::RecvOp>(op);
    auto ruled = dyn_cast<shd::PartitionInterface>(op);
    if (!ruled && !isMessage)
      return op->emitError() << "has no partition rule";
    auto in = readShardings(op, shd::kInAttr, op->getNumOperands());
    if (failed(in))
      return failure();
    auto out = readShardings(op, shd::kOutAttr, op->getNumResults());
    if (failed(out))
      return failure();
    for (auto [t, sharding] : llvm::enumerate(*in))
      if (failed(verifySharding(op, op->getOperand(t).getType(), sharding, "operand " + Twine(t))))
        return failure();
    for (auto [t, sharding] : llvm::enumerate(*out))
      if (failed(verifySharding(op, op->getResult(t).getType(), sharding, "result " + Twine(t))))
        return failure();
    if (!isMessage)
      return success(succeeded(readContext(ruled, mesh)));
    for (ShardingAttr sharding : llvm::concat<ShardingAttr>(*in, *out))
      if (!sharding.getUnreduced().empty())
        return op->emitError() << "sends partial values; reduce them first";
    return success();
  }

  shd::MeshOp mesh;
  InitTimeValues initTime;
};

struct VerifyShardingsPass : impl::VerifyShardingsBase<VerifyShardingsPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> functions = getPlannedFunctions(module);
    if (functions.empty() || !shd::getMesh(functions.front())) {
      module.emitError() << "needs " << (functions.empty() ? "a function @main" : "a shd.mesh");
      return signalPassFailure();
    }
    for (func::FuncOp function : functions)
      if (failed(Verifier(shd::getMesh(function)).verifyFunction(function)))
        return signalPassFailure();
    markAllAnalysesPreserved();
  }
};

} // namespace
} // namespace mpopt::partition
