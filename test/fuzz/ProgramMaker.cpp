#include "ProgramMaker.h"
#include "llvm/ADT/StringSet.h"
#include <cmath>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::fuzz;

/// Results are no larger, so that programs run fast.
static constexpr int64_t kMostElements = 3000;

Program Program::clone() { return {cast<ModuleOp>(module->getOperation()->clone()), inputs}; }

ProgramMaker::ProgramMaker(MLIRContext *context, uint64_t seed, Limits limits)
    : random(seed), limits(limits), builder(context), module(ModuleOp::create(builder.getUnknownLoc())) {
  builder.setInsertionPointToEnd(module->getBody());
  main = func::FuncOp::create(builder, builder.getUnknownLoc(), "main", builder.getFunctionType({}, {}));
  builder.setInsertionPointToEnd(main.addEntryBlock());
  for (int i = 0; i < 3; ++i)
    sizes.push_back(random.between(1, 7));
}

std::vector<StringRef> ProgramMaker::names() {
  std::vector<StringRef> names;
  for (const Entry &entry : makers())
    names.push_back(entry.name);
  return names;
}

Program ProgramMaker::make(int64_t ops) {
  int64_t made = 0;
  for (int64_t tries = 0; made < ops && tries < 20 * ops; ++tries)
    if (const Entry &entry = random.pick(makers()); limits.packed || !StringRef(entry.name).starts_with("packed_"))
      made += (this->*entry.make)();
  return finish();
}

Program ProgramMaker::makeOne(StringRef name) {
  for (const Entry &entry : makers())
    for (int tries = 0; entry.name == name && tries < 20; ++tries)
      if ((this->*entry.make)())
        return finish();
  return {};
}

/// Returns what nobody uses and, at times, what somebody does.
Program ProgramMaker::finish() {
  SmallVector<Value> outputs;
  for (const Known &known : values)
    if (known.value.getDefiningOp() && (known.value.use_empty() || random.chance(15)))
      outputs.push_back(known.value);
  func::ReturnOp::create(builder, builder.getUnknownLoc(), outputs);
  main.setType(builder.getFunctionType(main.getBody().getArgumentTypes(), ValueRange(outputs).getTypes()));
  for (unsigned i = 0; i < main.getNumArguments(); ++i)
    main.setArgAttr(i, "nn.name", builder.getStringAttr("in" + std::to_string(i)));
  for (unsigned i = 0; i < outputs.size(); ++i)
    main.setResultAttr(i, "nn.name", builder.getStringAttr("out" + std::to_string(i)));
  return {std::move(module), std::move(inputs)};
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

const ProgramMaker::Known &ProgramMaker::known(Value value) const {
  return *llvm::find_if(values, [&](const Known &known) { return known.value == value; });
}

Value ProgramMaker::addInput(interp::Tensor tensor) {
  Value value = main.getBody().front().addArgument(tensor.type(), builder.getUnknownLoc());
  values.push_back({value, tensor, true});
  inputs.push_back(std::move(tensor));
  return value;
}

static DenseElementsAttr toAttr(const interp::Tensor &tensor) {
  SmallVector<Attribute> elements;
  for (int64_t i = 0; i < tensor.size(); ++i)
    elements.push_back(tensor.isFloat() ? Attribute(FloatAttr::get(tensor.element, tensor.floats[i]))
                                        : Attribute(IntegerAttr::get(tensor.element, tensor.ints[i])));
  return DenseElementsAttr::get(tensor.type(), elements);
}

Value ProgramMaker::fresh(const Shape &shape, Type element) {
  auto type = RankedTensorType::get(shape, element);
  interp::Tensor tensor = interp::randomTensor(type, random.below(1 << 30));
  int64_t kind = random.below(10);
  if (kind < 6 || tensor.size() > kMostElements)
    return addInput(std::move(tensor));
  if (kind < 8) {
    int64_t bytes =
        element.isInteger(1) ? type.getNumElements() : type.getNumElements() * type.getElementTypeBitWidth() / 8;
    auto source = nn::ExternalAttr::get(builder.getContext(), builder.getStringAttr("w.bin"), 0, bytes);
    emit<nn::WeightOp>(type, builder.getStringAttr("w" + std::to_string(random.below(1000))), source);
  } else {
    emit<nn::ConstantOp>(type, cast<ElementsAttr>(toAttr(tensor)));
  }
  return values.back().value;
}

Value ProgramMaker::get(const Shape &shape, Type element, bool exact) {
  SmallVector<Value> fitting;
  for (const Known &known : values)
    if (known.tensor.shape == shape && known.tensor.element == element && (known.exact || !exact))
      fitting.push_back(known.value);
  if (!fitting.empty() && random.chance(75))
    return random.chance(60) ? fitting.back() : random.pick(fitting);
  return fresh(shape, element);
}

Value ProgramMaker::getPositive(const Shape &shape) {
  SmallVector<Value> fitting;
  for (const Known &known : values)
    if (known.tensor.shape == shape && known.tensor.isFloat() &&
        llvm::all_of(known.tensor.floats, [](double value) { return value >= 0.125; }))
      fitting.push_back(known.value);
  if (!fitting.empty() && random.chance(75))
    return random.pick(fitting);
  interp::Tensor tensor = interp::randomTensor(RankedTensorType::get(shape, f64()), random.below(1 << 30));
  for (double &value : tensor.floats)
    value = std::fabs(value) + 0.125;
  return addInput(std::move(tensor));
}

Value ProgramMaker::getIndices(const Shape &shape, int64_t low, int64_t high) {
  interp::Tensor tensor = interp::Tensor::zeros(integer(), shape);
  for (int64_t &value : tensor.ints)
    value = random.between(low, high);
  if (random.chance(70))
    return addInput(std::move(tensor));
  emit<nn::ConstantOp>(tensor.type(), cast<ElementsAttr>(toAttr(tensor)));
  return values.back().value;
}

Value ProgramMaker::scalar(int64_t value) {
  interp::Tensor tensor = interp::Tensor::zeros(builder.getI64Type(), {});
  tensor.ints[0] = value;
  return addInput(std::move(tensor));
}

/// Half the time the shape of a value that is there, so that programs hang together.
ProgramMaker::Shape ProgramMaker::shape(int64_t minRank, int64_t maxRank) {
  if (!values.empty() && random.chance(60)) {
    const Known &known = random.chance(50) ? values.back() : random.pick(values);
    if (known.tensor.rank() >= minRank && known.tensor.rank() <= maxRank)
      return known.tensor.shape;
  }
  Shape shape;
  for (int64_t rank = random.between(minRank, maxRank); rank > 0; --rank)
    shape.push_back(size());
  return shape;
}

ProgramMaker::Shape ProgramMaker::narrower(const Shape &shape, bool dropLeading) {
  Shape result;
  if (random.chance(50))
    return shape;
  size_t drop = dropLeading ? random.below(static_cast<int64_t>(shape.size()) + 1) : 0;
  for (int64_t size : ArrayRef(shape).drop_front(drop))
    result.push_back(random.chance(30) ? 1 : size);
  return result;
}

/// Operators that give exact results on exact operands (multiples of a small power of two), in any order of summation.
static bool isExactOp(Operation *op) {
  if (llvm::all_of(op->getResultTypes(),
                   [](Type type) { return !isa<FloatType>(cast<RankedTensorType>(type).getElementType()); }))
    return true;
  if (auto reduce = dyn_cast<nn::ReduceOp>(op))
    return reduce.getKind() != nn::ReduceKind::Prod;
  if (auto scatter = dyn_cast<nn::ScatterNdOp>(op))
    return scatter.getReduction() != nn::ReduceKind::Prod;
  return isa<nn::WeightOp, nn::ConstantOp, nn::IotaOp, nn::NegOp, nn::AbsOp, nn::SignOp, nn::FloorOp, nn::CeilOp,
             nn::RoundOp, nn::ReluOp, nn::AddOp, nn::SubOp, nn::MulOp, nn::MaxOp, nn::MinOp, nn::SelectOp, nn::CastOp,
             nn::ReshapeOp, nn::TransposeOp, nn::BroadcastOp, nn::SliceOp, nn::SliceAtOp, nn::ConcatOp, nn::PadOp,
             nn::GatherOp, nn::GatherElementsOp, nn::GatherNdOp, nn::TopKOp, nn::CumSumOp, nn::MatmulOp, nn::ConvOp,
             nn::ConvTransposeOp, nn::MaxPoolOp, nn::PackedMatmulOp, nn::PackedConvOp, nn::DepthwiseConvOp>(op);
}

bool ProgramMaker::isExactValue(double value) const {
  return std::fabs(value) < limits.largest && std::floor(value / limits.unit) == value / limits.unit;
}

bool ProgramMaker::keep(Operation *op) {
  SmallVector<const interp::Tensor *> operands;
  bool exact = isExactOp(op);
  for (Value operand : op->getOperands()) {
    operands.push_back(&known(operand).tensor);
    exact &= known(operand).exact;
  }
  FailureOr<interp::Tensors> results = interp::evaluate(op, operands, {/*keepDoubles=*/true});
  auto fits = [](const interp::Tensor &tensor) {
    return tensor.size() > 0 && tensor.size() <= kMostElements &&
           llvm::all_of(tensor.floats, [](double value) { return std::fabs(value) < 1e5; }) &&
           llvm::all_of(tensor.ints, [](int64_t value) { return std::abs(value) < 1000000; });
  };
  if (failed(results) || !llvm::all_of(*results, fits)) {
    op->erase();
    return false;
  }
  for (auto [value, tensor] : llvm::zip(op->getResults(), *results)) {
    bool stillExact = exact && llvm::all_of(tensor.floats, [&](double number) { return isExactValue(number); });
    values.push_back({value, std::move(tensor), stillExact});
  }
  return true;
}
