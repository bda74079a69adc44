#ifndef MPOPT_DIALECT_SHD_PARTITIONINTERFACE
#define MPOPT_DIALECT_SHD_PARTITIONINTERFACE

include "mlir/IR/OpBase.td"

def PartitionInterface : OpInterface<"PartitionInterface"> {
  let cppNamespace = "::mpopt::shd";
  let description = [{
    The one rule of an operator from which enumeration of strategies, propagation, costs and partitioning follow
    (PartitionRule.h).
  }];
  let methods = [
    InterfaceMethod<"The factors of this operation and how its tensors' dimensions are made of them.",
      "::mpopt::shd::PartitionRule", "getPartitionRule", (ins)>,
    InterfaceMethod<[{
        Builds the operation on local values: `operands` have the local shapes that `context` says. Padding of uneven
        operands is already masked where the rule's reduce factors need it. Returns the local results. The default
        clones the operation with local result types.
      }],
      "::llvm::FailureOr<::llvm::SmallVector<::mlir::Value>>", "buildLocal",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::ValueRange":$operands, "const ::mpopt::shd::LocalContext &":$context),
      /*methodBody=*/[{}], /*defaultImplementation=*/[{
        return ::mpopt::shd::cloneLocal($_op.getOperation(), builder, operands, context);
      }]>,
    InterfaceMethod<[{
        Work of one device when factor i has `sizes[i]` elements there (getWorkSizes). The default reads every operand and writes every result
        once, with one flop per element of the largest.
      }],
      "::mpopt::shd::OpWork", "getLocalWork", (ins "::llvm::ArrayRef<int64_t>":$sizes),
      /*methodBody=*/[{}], /*defaultImplementation=*/[{
        return ::mpopt::shd::defaultWork($_op.getOperation(), $_op.getPartitionRule(), sizes);
      }]>
  ];
}

#endif // MPOPT_DIALECT_SHD_PARTITIONINTERFACE
