// How ProgramMaker makes elementwise operators, constants and shapes, and the table of all makers.
#include "ProgramMaker.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::fuzz;

//===----------------------------------------------------------------------===//
// Elementwise
//===----------------------------------------------------------------------===//

template <typename Op> bool ProgramMaker::unary() { return emit<Op>(get(shape(0), f64())); }
template <typename Op> bool ProgramMaker::unaryOfNumber() { return emit<Op>(get(shape(0), number())); }
template <typename Op> bool ProgramMaker::jumpingUnary() { return emit<Op>(get(shape(0), f64(), /*exact=*/true)); }
template <typename Op> bool ProgramMaker::positiveUnary() { return emit<Op>(getPositive(shape(0))); }

template <typename Op> bool ProgramMaker::binary() {
  Shape wide = shape(0);
  Type element = number();
  Value lhs = get(narrower(wide), element), rhs = get(wide, element);
  return random.chance(50) ? emit<Op>(lhs, rhs) : emit<Op>(rhs, lhs);
}

template <typename Op> bool ProgramMaker::logical() {
  Shape wide = shape(0);
  Value lhs = get(narrower(wide), i1()), rhs = get(wide, i1());
  return random.chance(50) ? emit<Op>(lhs, rhs) : emit<Op>(rhs, lhs);
}

bool ProgramMaker::gelu() { return emit<nn::GeluOp>(get(shape(0), f64()), random.chance(50)); }
bool ProgramMaker::leakyRelu() { return emit<nn::LeakyReluOp>(get(shape(0), f64()), APFloat(0.1)); }
bool ProgramMaker::elu() { return emit<nn::EluOp>(get(shape(0), f64()), APFloat(0.5)); }
bool ProgramMaker::hardSigmoid() { return emit<nn::HardSigmoidOp>(get(shape(0), f64()), APFloat(0.2), APFloat(0.5)); }

bool ProgramMaker::div() {
  Shape wide = shape(0);
  if (random.chance(70))
    return emit<nn::DivOp>(get(narrower(wide), f64()), getPositive(wide));
  return emit<nn::DivOp>(get(wide, builder.getI64Type()), [&] {
    interp::Tensor divisor = interp::Tensor::zeros(builder.getI64Type(), narrower(wide));
    for (int64_t &value : divisor.ints)
      value = random.chance(50) ? random.between(1, 4) : random.between(-4, -1);
    return addInput(std::move(divisor));
  }());
}

bool ProgramMaker::pow() {
  Shape wide = shape(0);
  return emit<nn::PowOp>(getPositive(wide), get(narrower(wide), f64()));
}

bool ProgramMaker::mod() {
  Shape wide = shape(0);
  interp::Tensor divisor = interp::Tensor::zeros(number(), narrower(wide));
  for (int64_t i = 0; i < divisor.size(); ++i)
    divisor.setNumber(i, static_cast<double>(random.chance(50) ? random.between(1, 4) : random.between(-4, -1)));
  Type element = divisor.element;
  return emit<nn::ModOp>(get(wide, element, /*exact=*/true), addInput(std::move(divisor)), random.chance(50));
}

bool ProgramMaker::compare() {
  Shape wide = shape(0);
  Type element = number();
  auto predicate = static_cast<nn::Predicate>(random.below(6));
  return emit<nn::CompareOp>(predicate, get(wide, element, true), get(narrower(wide), element, true));
}

bool ProgramMaker::select() {
  Shape wide = shape(0);
  Type element = number();
  return emit<nn::SelectOp>(get(narrower(wide), i1()), get(wide, element), get(narrower(wide), element));
}

bool ProgramMaker::cast() {
  SmallVector<Type> types{f64(), i1(), builder.getI64Type(), builder.getI32Type()};
  Shape wide = shape(0);
  Type to = random.pick(types), from = random.pick(types);
  return emit<nn::CastOp>(RankedTensorType::get(wide, to), get(wide, from, /*exact=*/true));
}

//===----------------------------------------------------------------------===//
// Constants and shapes
//===----------------------------------------------------------------------===//

bool ProgramMaker::weight() {
  auto type = RankedTensorType::get(shape(0), f64());
  auto source =
      nn::ExternalAttr::get(builder.getContext(), builder.getStringAttr("w.bin"), 0, type.getNumElements() * 8);
  return emit<nn::WeightOp>(type, builder.getStringAttr("w" + std::to_string(random.below(1000))), source);
}

bool ProgramMaker::constant() {
  auto type = RankedTensorType::get(shape(0), f64());
  return emit<nn::ConstantOp>(type, llvm::cast<ElementsAttr>(DenseElementsAttr::get(type, 0.75)));
}

bool ProgramMaker::iota() {
  auto type = RankedTensorType::get(shape(), number());
  return emit<nn::IotaOp>(type, static_cast<uint64_t>(axisOf(Shape(type.getShape()))),
                          APFloat(double(random.between(-2, 2))), APFloat(double(random.between(1, 3))));
}

/// Joins neighbouring dimensions, splits some, adds dimensions of size 1.
bool ProgramMaker::reshape() {
  Value input = get(shape(0), random.chance(80) ? f64() : number());
  Shape joined, result;
  for (int64_t size : shapeOf(input))
    if (!joined.empty() && random.chance(50))
      joined.back() *= size;
    else
      joined.push_back(size);
  for (int64_t size : joined) {
    for (int64_t divisor = 2; divisor < size; ++divisor)
      if (size % divisor == 0 && random.chance(60)) {
        result.push_back(divisor);
        size /= divisor;
      }
    if (size != 1 || random.chance(60))
      result.push_back(size);
  }
  if (random.chance(20))
    result.insert(result.begin() + random.below(static_cast<int64_t>(result.size()) + 1), 1);
  return emit<nn::ReshapeOp>(RankedTensorType::get(result, known(input).tensor.element), input);
}

bool ProgramMaker::transpose() {
  Value input = get(shape(), number());
  Shape left = llvm::to_vector(llvm::seq<int64_t>(0, known(input).tensor.rank())), permutation;
  while (!left.empty()) {
    int64_t *next = &random.pick(left);
    permutation.push_back(*next);
    left.erase(next);
  }
  return emit<nn::TransposeOp>(input, permutation);
}

bool ProgramMaker::broadcast() {
  Shape wide = shape();
  Value input = get(narrower(wide), number());
  return emit<nn::BroadcastOp>(RankedTensorType::get(wide, known(input).tensor.element), input);
}

bool ProgramMaker::slice() {
  Value input = get(shape(), number());
  Shape starts, sizes, steps;
  for (int64_t size : shapeOf(input)) {
    bool whole = random.chance(50);
    int64_t step = whole ? 1 : random.chance(50) ? random.between(1, 3) : random.between(-3, -1);
    starts.push_back(whole ? 0 : random.below(size));
    int64_t room = (step > 0 ? size - 1 - starts.back() : starts.back()) / std::abs(step) + 1;
    sizes.push_back(whole ? size : random.between(1, room));
    steps.push_back(step);
  }
  return emit<nn::SliceOp>(input, starts, sizes, steps);
}

bool ProgramMaker::sliceAt() {
  Value input = get(shape(), number());
  Shape result = shapeOf(input);
  int64_t axis = axisOf(result);
  Value start = scalar(random.below(result[axis]));
  result[axis] = random.between(1, result[axis]);
  return emit<nn::SliceAtOp>(RankedTensorType::get(result, known(input).tensor.element), input, start,
                             static_cast<uint64_t>(axis));
}

bool ProgramMaker::concat() {
  Shape first = shape();
  int64_t axis = axisOf(first);
  Type element = number();
  SmallVector<Value> inputs;
  for (int64_t count = random.between(1, 3); count > 0; --count) {
    Shape other = first;
    other[axis] = random.chance(50) ? first[axis] : size();
    inputs.push_back(get(other, element));
  }
  return emit<nn::ConcatOp>(ValueRange(inputs), static_cast<uint64_t>(axis));
}

bool ProgramMaker::pad() {
  Value input = get(shape(), number());
  Shape low, high;
  for (int64_t size : shapeOf(input)) {
    bool whole = random.chance(50);
    low.push_back(whole ? 0 : random.between(-1, 2));
    high.push_back(whole || size < 2 ? 0 : random.between(-1, 2));
    if (size + low.back() + high.back() < 1)
      low.back() = high.back() = 0;
  }
  return emit<nn::PadOp>(input, low, high, APFloat(double(random.chance(50) ? 0 : random.between(-3, 3))));
}

bool ProgramMaker::gather() {
  Value input = get(shape(1, 3), number());
  int64_t axis = axisOf(shapeOf(input)), size = shapeOf(input)[axis];
  return emit<nn::GatherOp>(input, getIndices(shape(0, 2), -size, size - 1), Value(), static_cast<uint64_t>(axis));
}

bool ProgramMaker::gatherElements() {
  Value input = get(shape(1, 3), number());
  Shape rows = shapeOf(input);
  int64_t axis = axisOf(rows), extent = rows[axis];
  for (int64_t &row : rows)
    row = random.chance(70) ? row : random.between(1, row);
  rows[axis] = size();
  return emit<nn::GatherElementsOp>(input, getIndices(rows, -extent, extent - 1), static_cast<uint64_t>(axis));
}

bool ProgramMaker::gatherNd() {
  Value input = get(shape(1, 4), number());
  Shape of = shapeOf(input);
  int64_t rank = static_cast<int64_t>(of.size()), batch = random.below(rank), depth = random.between(1, rank - batch);
  Shape rows(ArrayRef(of).take_front(batch));
  for (int64_t extra = random.below(2); extra > 0; --extra)
    rows.push_back(size());
  rows.push_back(depth);
  int64_t smallest = *llvm::min_element(ArrayRef(of).slice(batch, depth));
  return emit<nn::GatherNdOp>(input, getIndices(rows, -smallest, smallest - 1), static_cast<uint64_t>(batch));
}

bool ProgramMaker::scatterNd() {
  Value input = get(shape(1, 3), number());
  Shape of = shapeOf(input);
  int64_t rank = static_cast<int64_t>(of.size()), depth = random.between(1, rank);
  Shape rows;
  for (int64_t count = random.between(0, 2); count > 0; --count)
    rows.push_back(size());
  Shape updates = rows;
  llvm::append_range(updates, ArrayRef(of).drop_front(depth));
  rows.push_back(depth);
  int64_t smallest = *llvm::min_element(ArrayRef(of).take_front(depth));
  nn::ReduceKindAttr kind;
  if (random.chance(60))
    kind = nn::ReduceKindAttr::get(builder.getContext(), static_cast<nn::ReduceKind>(random.below(4)));
  Value indices = getIndices(rows, -smallest, smallest - 1), from = get(updates, known(input).tensor.element);
  return emit<nn::ScatterNdOp>(input, indices, from, kind);
}

//===----------------------------------------------------------------------===//
// Table
//===----------------------------------------------------------------------===//

const std::vector<ProgramMaker::Entry> &ProgramMaker::makers() {
  using P = ProgramMaker;
  static const std::vector<Entry> all = {
      {"weight", &P::weight},
      {"constant", &P::constant},
      {"iota", &P::iota},
      {"neg", &P::unaryOfNumber<nn::NegOp>},
      {"abs", &P::unaryOfNumber<nn::AbsOp>},
      {"sign", &P::jumpingUnary<nn::SignOp>},
      {"exp", &P::unary<nn::ExpOp>},
      {"log", &P::positiveUnary<nn::LogOp>},
      {"sqrt", &P::positiveUnary<nn::SqrtOp>},
      {"rsqrt", &P::positiveUnary<nn::RsqrtOp>},
      {"reciprocal", &P::positiveUnary<nn::ReciprocalOp>},
      {"sin", &P::unary<nn::SinOp>},
      {"cos", &P::unary<nn::CosOp>},
      {"tanh", &P::unary<nn::TanhOp>},
      {"erf", &P::unary<nn::ErfOp>},
      {"floor", &P::jumpingUnary<nn::FloorOp>},
      {"ceil", &P::jumpingUnary<nn::CeilOp>},
      {"round", &P::jumpingUnary<nn::RoundOp>},
      {"sigmoid", &P::unary<nn::SigmoidOp>},
      {"relu", &P::unaryOfNumber<nn::ReluOp>},
      {"silu", &P::unary<nn::SiluOp>},
      {"softplus", &P::unary<nn::SoftplusOp>},
      {"not", &P::notOp},
      {"gelu", &P::gelu},
      {"leaky_relu", &P::leakyRelu},
      {"elu", &P::elu},
      {"hard_sigmoid", &P::hardSigmoid},
      {"is_nan", &P::unary<nn::IsNanOp>},
      {"add", &P::binary<nn::AddOp>},
      {"sub", &P::binary<nn::SubOp>},
      {"mul", &P::binary<nn::MulOp>},
      {"div", &P::div},
      {"pow", &P::pow},
      {"max", &P::binary<nn::MaxOp>},
      {"min", &P::binary<nn::MinOp>},
      {"mod", &P::mod},
      {"and", &P::logical<nn::AndOp>},
      {"or", &P::logical<nn::OrOp>},
      {"xor", &P::logical<nn::XorOp>},
      {"compare", &P::compare},
      {"select", &P::select},
      {"cast", &P::cast},
      {"reshape", &P::reshape},
      {"transpose", &P::transpose},
      {"broadcast", &P::broadcast},
      {"slice", &P::slice},
      {"slice_at", &P::sliceAt},
      {"concat", &P::concat},
      {"pad", &P::pad},
      {"gather", &P::gather},
      {"gather_elements", &P::gatherElements},
      {"gather_nd", &P::gatherNd},
      {"scatter_nd", &P::scatterNd},
      {"reduce", &P::reduce},
      {"arg_reduce", &P::argReduce},
      {"top_k", &P::topK},
      {"cum_sum", &P::cumSum},
      {"matmul", &P::matmul},
      {"packed_matmul", &P::packedMatmul},
      {"expert_matmul", &P::expertMatmul},
      {"experts", &P::experts},
      {"softmax", &P::softmax},
      {"layer_norm", &P::layerNorm},
      {"lrn", &P::lrn},
      {"group_norm", &P::groupNorm},
      {"attention", &P::attention},
      {"rotary", &P::rotary},
      {"conv", &P::conv},
      {"conv_transpose", &P::convTranspose},
      {"max_pool", &P::maxPool},
      {"avg_pool", &P::avgPool},
      {"packed_conv", &P::packedConv},
      {"depthwise_conv", &P::depthwiseConv},
  };
  return all;
}

bool ProgramMaker::notOp() { return emit<nn::NotOp>(get(shape(0), i1())); }
