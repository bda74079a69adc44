#include "WritePlan.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/Shd/Stages.h"

using namespace mlir;

namespace mpopt::planning {

void removePlan(ModuleOp module, func::FuncOp main) {
  if (shd::MeshOp mesh = shd::getMesh(main))
    mesh.erase();
  auto name = StringAttr::get(module.getContext(), shd::kShardingAttr);
  for (unsigned i = 0; i < main.getNumArguments(); ++i)
    main.removeArgAttr(i, name);
  for (unsigned i = 0; i < main.getNumResults(); ++i)
    main.removeResultAttr(i, name);
  main.walk([](Operation *op) {
    op->removeAttr(shd::kInAttr);
    op->removeAttr(shd::kOutAttr);
    op->removeAttr(shd::kStageAttr);
  });
  module->removeAttr(shd::kStagesAttr);
}

namespace {

ArrayAttr arrayOf(MLIRContext *context, ArrayRef<shd::ShardingAttr> shardings) {
  return ArrayAttr::get(context, SmallVector<Attribute>(shardings.begin(), shardings.end()));
}

void setShardings(Operation *op, ArrayRef<shd::ShardingAttr> in, ArrayRef<shd::ShardingAttr> out) {
  op->setAttr(shd::kInAttr, arrayOf(op->getContext(), in));
  op->setAttr(shd::kOutAttr, arrayOf(op->getContext(), out));
}

shd::ShardingAttr replicated(Value value, const PlanMesh &mesh) {
  return shd::ShardingAttr::replicated(mesh.symbol, cast<RankedTensorType>(value.getType()).getRank());
}

/// Init-time values are whole on every device until they are used.
void replicate(func::FuncOp main, const PlanMesh &mesh) {
  auto all = [&](ValueRange values) {
    return llvm::map_to_vector(values, [&](Value value) { return replicated(value, mesh); });
  };
  Block &body = main.getBody().front();
  for (Operation &op : body.without_terminator())
    setShardings(&op, all(op.getOperands()), all(op.getResults()));
  for (auto [index, value] : llvm::enumerate(body.getTerminator()->getOperands()))
    main.setResultAttr(index, shd::kShardingAttr, replicated(value, mesh));
}

} // namespace

void writePlan(ModuleOp module, func::FuncOp main, const PlanMesh &mesh, const Model &model, ArrayRef<int32_t> choice,
               const Prices &prices) {
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  for (shd::MeshOp other : module.getOps<shd::MeshOp>()) // in the order of the stages
    builder.setInsertionPointAfter(other);
  shd::MeshOp::create(builder, module.getLoc(), mesh.symbol.getValue(), mesh.attr);
  replicate(main, mesh);
  for (auto [decision, number] : llvm::zip_equal(model.decisions, choice)) {
    const Option &option = (*decision.options)[number];
    if (decision.kind == Decision::Argument && decision.op)
      setShardings(decision.op, {}, prices.all(option.out));
    else if (decision.kind == Decision::Argument)
      main.setArgAttr(cast<BlockArgument>(decision.value).getArgNumber(), shd::kShardingAttr,
                      prices.sharding(option.out[0]));
    if (decision.kind == Decision::Operator)
      setShardings(decision.op, prices.all(option.in), prices.all(option.out));
    if (decision.kind == Decision::Result && isa<coll::SendOp>(decision.op))
      setShardings(decision.op, prices.all(option.in), {});
    else if (decision.kind == Decision::Result)
      main.setResultAttr(decision.result, shd::kShardingAttr, prices.sharding(option.in[0]));
  }
}

} // namespace mpopt::planning
