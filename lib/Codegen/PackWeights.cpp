#include "PackWeights.h"
#include "mpopt/Dialect/NN/NN.h"

using namespace mlir;
using namespace mpopt;

/// [k, n] to [ceil(n / panel), k, panel].
static Value pack(OpBuilder &b, Location loc, Value matrix, int64_t panel) {
  auto type = cast<RankedTensorType>(matrix.getType());
  int64_t k = type.getDimSize(0), n = type.getDimSize(1), panels = (n + panel - 1) / panel;
  if (panels * panel != n)
    matrix = nn::PadOp::create(b, loc, type.clone({k, panels * panel}), matrix, b.getDenseI64ArrayAttr({0, 0}),
                               b.getDenseI64ArrayAttr({0, panels * panel - n}), b.getF64FloatAttr(0.0));
  matrix = nn::ReshapeOp::create(b, loc, type.clone({k, panels, panel}), matrix);
  return nn::TransposeOp::create(b, loc, type.clone({panels, k, panel}), matrix, b.getDenseI64ArrayAttr({1, 0, 2}));
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
