#include "LowerKernel.h"
#include "Lower.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;

static SmallVector<Operation *> findAnchors(func::FuncOp function) {
  SmallVector<Operation *> anchors;
  for (Operation &op : function.getBody().front().without_terminator())
    if (!isLight(&op))
      anchors.push_back(&op);
  return anchors;
}

//===----------------------------------------------------------------------===//
// Merging dimensions
//===----------------------------------------------------------------------===//

/// Whether dimensions d and d + 1 (counted in `rank` dimensions) of every value are both whole or both broadcast.
static bool canMerge(ArrayRef<Value> values, ArrayRef<int64_t> shape, size_t d) {
  for (Value value : values) {
    ArrayRef<int64_t> own = tensorType(value).getShape();
    auto size = [&](size_t dim) -> int64_t {
      size_t missing = shape.size() - own.size();
      return dim < missing ? 1 : own[dim - missing];
    };
    bool whole = size(d) == shape[d] && size(d + 1) == shape[d + 1];
    if (!whole && (size(d) != 1 || size(d + 1) != 1))
      return false;
  }
  return true;
}

/// Gives the values of a purely pointwise kernel the fewest dimensions, so that short last dimensions do not waste lanes; and those of
/// a product by packed weights, whose last dimension stays, so that rows are counted by one index.
static void mergeDimensions(func::FuncOp function) {
  Block &body = function.getBody().front();
  if (body.getTerminator()->getNumOperands() == 0)
    return;
  SmallVector<int64_t> shape(tensorType(body.getTerminator()->getOperand(0)).getShape());
  SmallVector<Value> values(body.getArguments());
  size_t kept = 0; // last dimensions that stay
  for (Operation &op : body.without_terminator()) {
    auto product = dyn_cast<nn::PackedMatmulOp>(op);
    if (product && kept == 0) {
      kept = 1;
      llvm::erase(values, product.getPacked());
    } else if (!isElementwise(&op) && !isa<nn::ConstantOp>(op)) {
      return;
    }
    values.push_back(op.getResult(0));
  }
  for (Value value : values)
    if (tensorType(value).getRank() > int64_t(shape.size()))
      return;
  for (Value result : body.getTerminator()->getOperands())
    if (tensorType(result).getShape() != ArrayRef(shape))
      return;
  for (size_t d = std::max(shape.size(), kept) - kept; d-- > 1;) {
    if (!canMerge(values, shape, d - 1))
      continue;
    for (Value value : values) {
      RankedTensorType type = tensorType(value);
      SmallVector<int64_t> own(type.getShape());
      while (own.size() < shape.size())
        own.insert(own.begin(), 1);
      own[d - 1] *= own[d];
      own.erase(own.begin() + d);
      value.setType(type.clone(own));
    }
    shape[d - 1] *= shape[d];
    shape.erase(shape.begin() + d);
  }
  for (Operation &op : body.without_terminator())
    if (auto constant = dyn_cast<nn::ConstantOp>(op))
      if (auto dense = dyn_cast<DenseElementsAttr>(constant.getValue()))
        constant.setValueAttr(dense.resizeSplat(tensorType(constant.getResult())));
}

//===----------------------------------------------------------------------===//
// Dispatch
//===----------------------------------------------------------------------===//

static LogicalResult lowerBody(Kernel &kernel, func::FuncOp function) {
  SmallVector<Operation *> anchors = findAnchors(function);
  if (anchors.empty())
    return lowerPointwise(kernel);
  if (llvm::all_of(anchors, isRowAnchor))
    return lowerRows(kernel, anchors);
  if (anchors.size() > 1)
    return anchors[1]->emitOpError("cannot share a kernel with ") << anchors[0]->getName();
  kernel.lookThroughOutputs();
  return TypeSwitch<Operation *, LogicalResult>(anchors[0])
      .Case([&](nn::ReduceOp op) { return lowerReduce(kernel, op); })
      .Case([&](nn::MatmulOp op) { return lowerMatmul(kernel, op); })
      .Case([&](nn::PackedMatmulOp op) { return lowerPackedMatmul(kernel, op); })
      .Case([&](nn::PackedConvOp op) { return lowerPackedConv(kernel, op); })
      .Case([&](nn::DepthwiseConvOp op) { return lowerDepthwiseConv(kernel, op); })
      .Case<nn::MaxPoolOp, nn::AvgPoolOp>([&](auto op) { return lowerPool(kernel, op); })
      .Case([&](nn::ExpertMatmulOp op) { return lowerExpertMatmul(kernel, op); })
      .Case([&](nn::AttentionOp op) { return lowerAttention(kernel, op); })
      .Default([&](Operation *op) { return lowerOther(kernel, op); });
}

static LogicalResult checkBody(func::FuncOp function) {
  auto isSupported = [](Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || !tensor.hasStaticShape())
      return false;
    Type element = tensor.getElementType();
    return element.isF64() || element.isF32() || element.isF16() || element.isBF16() || element.isInteger(1) ||
           (isa<IntegerType>(element) && llvm::is_contained({8, 16, 32, 64}, element.getIntOrFloatBitWidth()));
  };
  if (!llvm::hasSingleElement(function.getBody()))
    return function.emitOpError("must be one block to be a kernel");
  for (Operation &op : function.getBody().front()) {
    if (!isa<func::ReturnOp>(op) && !isa_and_nonnull<nn::NNDialect>(op.getDialect()))
      return op.emitOpError("cannot stand in a kernel");
    for (Type type : llvm::concat<const Type>(op.getOperandTypes(), op.getResultTypes()))
      if (!isSupported(type))
        return op.emitOpError("has the type ") << type << ", which kernels cannot compute";
    if (auto constant = dyn_cast<nn::ConstantOp>(op); constant && !splatOf(constant.getResult()))
      return op.emitOpError("must be one repeated element in a kernel; pass others as operands");
  }
  return success();
}

/// The function that the runtime calls: fetches the buffers' addresses and calls the body, whose arguments do not alias.
static void buildWrapper(OpBuilder b, Location loc, StringRef name, LLVM::LLVMFuncOp body) {
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), {pointer});
  auto wrapper = LLVM::LLVMFuncOp::create(b, loc, name, type);
  b.setInsertionPointToStart(wrapper.addEntryBlock(b));
  SmallVector<Value> arguments;
  for (unsigned i = 0; i < body.getNumArguments(); ++i) {
    Value slot =
        LLVM::GEPOp::create(b, loc, pointer, pointer, wrapper.getArgument(0), ArrayRef<LLVM::GEPArg>{int32_t(i)});
    arguments.push_back(LLVM::LoadOp::create(b, loc, pointer, slot));
  }
  LLVM::CallOp::create(b, loc, body, arguments);
  LLVM::ReturnOp::create(b, loc, ValueRange{});
}

static LLVM::LLVMFuncOp buildBody(OpBuilder b, Location loc, StringRef name, unsigned pointers) {
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  auto type =
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), SmallVector<Type>(pointers, pointer));
  auto body = LLVM::LLVMFuncOp::create(b, loc, (name + "_body").str(), type, LLVM::Linkage::Internal);
  body.setAlwaysInline(true);
  for (unsigned i = 0; i < pointers; ++i)
    body.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(), b.getUnitAttr());
  return body;
}

LogicalResult mpopt::codegen::lowerKernel(func::FuncOp original, ModuleOp into, const CpuTarget &target) {
  if (failed(checkBody(original)))
    return failure();
  Location loc = original.getLoc();
  // A copy, because merging dimensions changes types.
  OwningOpRef<func::FuncOp> function = original.clone();
  mergeDimensions(*function);
  Block &source = function->getBody().front();
  Operation *terminator = source.getTerminator();
  OpBuilder b = OpBuilder::atBlockEnd(into.getBody());
  unsigned operands = source.getNumArguments();
  LLVM::LLVMFuncOp body = buildBody(b, loc, original.getName(), operands + terminator->getNumOperands());
  buildWrapper(b, loc, original.getName(), body);
  b.setInsertionPointToStart(body.addEntryBlock(b));
  Emitter e(b, loc, target);
  Evaluator ev(e);
  for (auto [i, argument] : llvm::enumerate(source.getArguments()))
    ev.bind(argument, View::dense(body.getArgument(i), tensorType(argument)));
  Kernel kernel{e, ev, {}};
  for (auto [i, value] : llvm::enumerate(terminator->getOperands()))
    kernel.outputs.push_back({value, View::dense(body.getArgument(operands + i), tensorType(value))});
  if (failed(lowerBody(kernel, *function)))
    return failure();
  LLVM::ReturnOp::create(e.b, loc, ValueRange{});
  return success();
}
