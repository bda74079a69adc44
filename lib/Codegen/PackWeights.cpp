#include "PackWeights.h"
#include "mpopt/Dialect/NN/NN.h"

using namespace mlir;
using namespace mpopt;

/// [.., k, n] to [.., ceil(n / panel), k, panel].
static Value pack(OpBuilder &b, Location loc, Value matrix, int64_t panel) {
  auto type = cast<RankedTensorType>(matrix.getType());
  int64_t rank = type.getRank(), n = type.getShape().back(), panels = (n + panel - 1) / panel;
  SmallVector<int64_t> shape(type.getShape()), order = llvm::to_vector(llvm::seq<int64_t>(0, rank + 1));
  if (panels * panel != n) {
    SmallVector<int64_t> low(rank, 0), high(rank, 0);
    high.back() = panels * panel - n;
    shape.back() = panels * panel;
    matrix = nn::PadOp::create(b, loc, type.clone(shape), matrix, b.getDenseI64ArrayAttr(low),
                               b.getDenseI64ArrayAttr(high), b.getF64FloatAttr(0.0));
  }
  shape.back() = panels;
  shape.push_back(panel);
  matrix = nn::ReshapeOp::create(b, loc, type.clone(shape), matrix);
  std::swap(shape[rank - 2], shape[rank - 1]);
  std::swap(order[rank - 2], order[rank - 1]);
  return nn::TransposeOp::create(b, loc, type.clone(shape), matrix, b.getDenseI64ArrayAttr(order));
}

/// Packs the experts' matrices, when they are constant.
static void packExperts(nn::ExpertMatmulOp op, DenseSet<Value> &init, const codegen::CpuTarget &target,
                        std::map<std::pair<void *, int64_t>, Value> &packed) {
  auto weights = cast<RankedTensorType>(op.getWeights().getType());
  if (op.getN() || !init.contains(op.getWeights()) || weights.getNumElements() == 0)
    return;
  int64_t rows = cast<RankedTensorType>(op.getIndices().getType()).getDimSize(0), panel = target.panelWidth(rows);
  Value &panels = packed[{op.getWeights().getAsOpaquePointer(), panel}];
  OpBuilder b(op);
  if (!panels)
    panels = pack(b, op.getLoc(), op.getWeights(), panel);
  init.insert(panels);
  op.setN(weights.getDimSize(2));
  op.getWeightsMutable().assign(panels);
}

void mpopt::codegen::packWeights(func::FuncOp main, const CpuTarget &target) {
  std::map<std::pair<void *, int64_t>, Value> packed; // looked up only
  DenseSet<Value> init;
  for (Operation &op : llvm::make_early_inc_range(main.getBody().front().without_terminator())) {
    bool isLeaf = isa<nn::WeightOp, nn::ConstantOp, nn::IotaOp>(op) || op.getName().getStringRef() == "coll.index";
    bool isKnown = isa<nn::NNDialect>(op.getDialect()) &&
                   llvm::all_of(op.getOperands(), [&](Value v) { return init.contains(v); });
    if (isLeaf || isKnown) {
      init.insert(op.result_begin(), op.result_end());
      continue;
    }
    if (auto experts = dyn_cast<nn::ExpertMatmulOp>(op))
      packExperts(experts, init, target, packed);
    auto matmul = dyn_cast<nn::MatmulOp>(op);
    if (!matmul || !init.contains(matmul.getRhs()))
      continue;
    auto left = cast<RankedTensorType>(matmul.getLhs().getType()),
         right = cast<RankedTensorType>(matmul.getRhs().getType());
    auto result = cast<RankedTensorType>(matmul.getType());
    if (right.getRank() != 2 || !isa<FloatType>(left.getElementType()) || result.getNumElements() == 0 ||
        right.getNumElements() == 0)
      continue;
    int64_t rows = left.getNumElements() / left.getShape().back(), panel = target.panelWidth(rows);
    Value &weights = packed[{matmul.getRhs().getAsOpaquePointer(), panel}];
    OpBuilder b(&op);
    if (!weights)
      weights = pack(b, op.getLoc(), matmul.getRhs(), panel);
    init.insert(weights);
    Value product = nn::PackedMatmulOp::create(b, op.getLoc(), result, matmul.getLhs(), weights,
                                               b.getI64IntegerAttr(right.getDimSize(1)));
    matmul.getResult().replaceAllUsesWith(product);
    op.erase();
  }
}
