#ifndef MPOPT_LIB_PARTITION_PARTITIONER_H
#define MPOPT_LIB_PARTITION_PARTITIONER_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mpopt/Dialect/Shd/PartitionRule.h"
#include "mpopt/Dialect/Shd/Reshard.h"
#include "mpopt/Dialect/Shd/Stages.h"
#include "mpopt/Partition/Passes.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

namespace mpopt::partition {

/// @main, or, where stages have been split already, their functions.
llvm::SmallVector<mlir::func::FuncOp> getPlannedFunctions(mlir::ModuleOp module);

/// The shardings that an operation carries as `name`; failure after an error on it when there are not `count` of them.
llvm::FailureOr<llvm::SmallVector<shd::ShardingAttr>> readShardings(mlir::Operation *op, llvm::StringRef name,
                                                                    unsigned count);

/// The strategy that a planned operation carries; failure after an error on it.
llvm::FailureOr<shd::LocalContext> readContext(shd::PartitionInterface op, shd::MeshOp mesh);

/// Which values of a function are known when the plan is made, asked in the order of the program.
class InitTimeValues {
public:
  /// Whether the operation runs when the plan is made; remembers its results.
  bool add(mlir::Operation *op);
  bool contains(mlir::Value value) const { return values.contains(value); }

private:
  llvm::DenseSet<mlir::Value> values;
};

/// The collective that does one step, on a value whose sharding is `before`; `global` is the value's type on all devices.
mlir::Value buildStep(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value, const shd::ReshardStep &step,
                      shd::ShardingAttr before, mlir::RankedTensorType global, shd::MeshAttr mesh);

/// Marks what is built with the pipeline stage of the operation that it is built for.
class StageMarker : public mlir::OpBuilder::Listener {
public:
  mlir::Attribute stage; ///< Null: none.
  void notifyOperationInserted(mlir::Operation *op, mlir::OpBuilder::InsertPoint) override {
    if (stage)
      op->setAttr(shd::kStageAttr, stage);
  }
};

/// Writes a function on local shapes beside the one on global shapes.
class Partitioner {
public:
  Partitioner(mlir::func::FuncOp global, shd::MeshOp mesh, StepPrice price)
      : global(global), mesh(mesh), price(std::move(price)), builder(global.getContext()) {
    builder.setListener(&marker);
  }

  /// Failure after an error.
  mlir::LogicalResult run();

private:
  /// A value as it was made, or as a reshard has left it.
  struct Local {
    mlir::Value value;
    shd::ShardingAttr sharding;
  };

  mlir::FailureOr<mlir::func::FuncOp> makeFunction();
  mlir::LogicalResult convert(mlir::Operation *op);
  mlir::LogicalResult convertReturn(mlir::func::ReturnOp op);
  mlir::LogicalResult convertSend(mlir::Operation *op);
  mlir::LogicalResult convertRecv(mlir::Operation *op);
  mlir::LogicalResult buildWhole(mlir::Operation *op);
  mlir::FailureOr<mlir::Value> reshard(mlir::Value value, shd::ShardingAttr to, mlir::Operation *user);
  llvm::FailureOr<std::pair<Local, llvm::SmallVector<shd::ReshardStep>>> findWay(mlir::Value value,
                                                                                 shd::ShardingAttr to);
  mlir::FailureOr<mlir::Value> slice(mlir::Value value, shd::ShardingAttr to, mlir::Operation *user);
  mlir::Value maskOperand(mlir::Value value, unsigned t, mlir::Operation *op, const shd::LocalContext &context);

  mlir::func::FuncOp global;
  shd::MeshOp mesh;
  StepPrice price;
  StageMarker marker;
  mlir::OpBuilder builder;
  InitTimeValues initTime;
  llvm::DenseMap<mlir::Value, Local> locals;
  /// What reshards have made of a value so far, in order.
  llvm::DenseMap<mlir::Value, llvm::SmallVector<Local, 2>> copies;
  llvm::DenseMap<std::pair<mlir::Value, mlir::Attribute>, mlir::Value> resharded;
};

} // namespace mpopt::partition

#endif // MPOPT_LIB_PARTITION_PARTITIONER_H
