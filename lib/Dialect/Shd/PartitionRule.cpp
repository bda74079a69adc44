// Defaults that operators share: building on local shapes, work, the elementwise rule.
#include "mpopt/Dialect/Shd/PartitionRule.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace mpopt::shd;

FailureOr<SmallVector<Value>> mpopt::shd::cloneLocal(Operation *op, OpBuilder &builder, ValueRange operands,
                                                     const LocalContext &context) {
  Operation *local = op->clone();
  local->setOperands(operands);
  local->removeAttr(kInAttr);
  local->removeAttr(kOutAttr);
  for (auto [result, sharding] : llvm::zip(local->getResults(), context.shardings.out))
    result.setType(sharding.getLocalType(cast<RankedTensorType>(result.getType()), context.mesh));
  builder.insert(local);
  return SmallVector<Value>(local->getResults());
}

/// Bytes of a tensor whose factors have `sizes` elements here. A halo dimension is not the product of its factors: it
/// shrinks as they do.
static double localBytes(Type type, const PartitionRule &rule, const PartitionRule::TensorDims &dims,
                         ArrayRef<int64_t> sizes) {
  auto tensor = cast<RankedTensorType>(type);
  double elements = 1;
  for (auto [size, factors] : llvm::zip(tensor.getShape(), dims)) {
    elements *= static_cast<double>(size);
    for (unsigned f : factors)
      if (rule.factors[f].size)
        elements *= static_cast<double>(sizes[f]) / static_cast<double>(rule.factors[f].size);
  }
  return elements * std::max(1u, tensor.getElementTypeBitWidth() / 8);
}

OpWork mpopt::shd::defaultWork(Operation *op, const PartitionRule &rule, ArrayRef<int64_t> sizes) {
  OpWork work;
  auto add = [&](double &bytes, Type type, const PartitionRule::TensorDims &dims) {
    double more = localBytes(type, rule, dims, sizes);
    bytes += more;
    work.flops = std::max(work.flops, more / std::max(1u, cast<RankedTensorType>(type).getElementTypeBitWidth() / 8));
  };
  for (auto [type, dims] : llvm::zip(op->getOperandTypes(), rule.operandDims))
    add(work.bytesRead, type, dims);
  for (auto [type, dims] : llvm::zip(op->getResultTypes(), rule.resultDims))
    add(work.bytesWritten, type, dims);
  return work;
}

PartitionRule mpopt::shd::elementwiseRule(Operation *op, ArrayRef<SmallVector<unsigned, 2>> linearIn) {
  PartitionRule rule;
  auto result = cast<RankedTensorType>(op->getResult(0).getType());
  PartitionRule::TensorDims &resultDims = rule.resultDims.emplace_back();
  for (int64_t size : result.getShape()) {
    resultDims.emplace_back();
    if (size != 1)
      resultDims.back().push_back(rule.addFactor(size));
  }
  for (Type type : op->getOperandTypes()) {
    ArrayRef<int64_t> shape = cast<RankedTensorType>(type).getShape();
    PartitionRule::TensorDims &dims = rule.operandDims.emplace_back();
    size_t lead = resultDims.size() - shape.size();
    for (auto [d, size] : llvm::enumerate(shape)) {
      dims.emplace_back();
      if (size != 1)
        dims.back() = resultDims[lead + d];
    }
  }
  rule.linearIn.assign(linearIn.begin(), linearIn.end());
  rule.padValue.resize(rule.operandDims.size());
  return rule;
}
