#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Schedule/Passes.h"

using namespace mlir;

namespace mpopt::schedule {
#define GEN_PASS_DEF_LOWERPLACES
#include "mpopt/Schedule/Passes.h.inc"

namespace {

RankedTensorType scalarType(Type element) { return RankedTensorType::get({}, element); }

Value constantOf(OpBuilder &builder, Location loc, Type element, double value) {
  auto type = scalarType(element);
  Attribute attr = isa<FloatType>(element) ? Attribute(builder.getFloatAttr(element, value))
                                           : Attribute(builder.getIntegerAttr(element, static_cast<int64_t>(value)));
  return nn::ConstantOp::create(builder, loc, type, DenseElementsAttr::get(type, attr));
}

Value indexOf(OpBuilder &builder, Location loc, FlatSymbolRefAttr mesh, ArrayAttr axes, int64_t scale) {
  return coll::IndexOp::create(builder, loc, scalarType(builder.getI64Type()), mesh, axes,
                               builder.getI64IntegerAttr(scale));
}

Type elementOf(Value value) { return cast<RankedTensorType>(value.getType()).getElementType(); }

Value lower(coll::SliceOp op, OpBuilder &builder) {
  auto type = cast<RankedTensorType>(op.getResult().getType());
  Value start = indexOf(builder, op.getLoc(), op.getMeshAttr(), op.getAxes(), type.getDimSize(op.getDim()));
  return nn::SliceAtOp::create(builder, op.getLoc(), type, op.getInput(), start, op.getDim());
}

/// position < size ? input : value, where position counts along `dim` from this device's first element.
Value lower(coll::MaskPadOp op, OpBuilder &builder) {
  Location loc = op.getLoc();
  auto type = cast<RankedTensorType>(op.getInput().getType());
  Type i64 = builder.getI64Type();
  SmallVector<int64_t> line(type.getRank(), 1);
  line[op.getDim()] = type.getDimSize(op.getDim());
  Value iota = nn::IotaOp::create(builder, loc, RankedTensorType::get(line, i64), op.getDim(), llvm::APFloat(0.0),
                                  llvm::APFloat(1.0));
  Value start = indexOf(builder, loc, op.getMeshAttr(), op.getAxes(), line[op.getDim()]);
  Value position = nn::AddOp::create(builder, loc, iota, start);
  Value real =
      nn::CompareOp::create(builder, loc, nn::Predicate::Lt, position, constantOf(builder, loc, i64, op.getSize()));
  Value value = constantOf(builder, loc, type.getElementType(), op.getValue().convertToDouble());
  return nn::SelectOp::create(builder, loc, real, op.getInput(), value);
}

Value lower(coll::KeepFirstOp op, OpBuilder &builder) {
  Location loc = op.getLoc();
  Value place = indexOf(builder, loc, op.getMeshAttr(), op.getAxes(), 1);
  Value first =
      nn::CompareOp::create(builder, loc, nn::Predicate::Eq, place, constantOf(builder, loc, builder.getI64Type(), 0));
  return nn::SelectOp::create(builder, loc, first, op.getInput(),
                              constantOf(builder, loc, elementOf(op.getInput()), 0));
}

struct LowerPlacesPass : impl::LowerPlacesBase<LowerPlacesPass> {
  void runOnOperation() override {
    getOperation().walk([](Operation *op) {
      OpBuilder builder(op);
      Value lowered =
          TypeSwitch<Operation *, Value>(op)
              .Case<coll::SliceOp, coll::MaskPadOp, coll::KeepFirstOp>([&](auto op) { return lower(op, builder); })
              .Default(Value());
      if (!lowered)
        return;
      op->getResult(0).replaceAllUsesWith(lowered);
      op->erase();
    });
  }
};

} // namespace
} // namespace mpopt::schedule
