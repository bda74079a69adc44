// How ProgramMaker makes reductions, products, norms, attention, convolution and pooling.
#include "ProgramMaker.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::fuzz;

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

bool ProgramMaker::reduce() {
  Value input = get(shape(), number());
  Shape axes;
  for (int64_t d = 0; d < known(input).tensor.rank(); ++d)
    if (random.chance(50))
      axes.push_back(d);
  return emit<nn::ReduceOp>(static_cast<nn::ReduceKind>(random.below(4)), input, axes, random.chance(50));
}

bool ProgramMaker::argReduce() {
  Value input = get(shape(), number(), /*exact=*/true);
  return emit<nn::ArgReduceOp>(input, static_cast<uint64_t>(axisOf(shapeOf(input))), random.chance(50),
                               random.chance(50), random.chance(50));
}

bool ProgramMaker::topK() {
  Value input = get(shape(), number(), /*exact=*/true);
  int64_t axis = axisOf(shapeOf(input));
  return emit<nn::TopKOp>(input, static_cast<uint64_t>(random.between(1, shapeOf(input)[axis])),
                          static_cast<uint64_t>(axis), random.chance(50));
}

bool ProgramMaker::cumSum() {
  Value input = get(shape(), number());
  return emit<nn::CumSumOp>(input, static_cast<uint64_t>(axisOf(shapeOf(input))), random.chance(50), random.chance(50));
}

//===----------------------------------------------------------------------===//
// Products, norms, attention
//===----------------------------------------------------------------------===//

bool ProgramMaker::matmul() {
  Shape left = shape(2, 4), right(ArrayRef(left).drop_back(2));
  right = narrower(right);
  right.push_back(left.back());
  right.push_back(size());
  Type element = random.chance(90) ? f64() : integer();
  if (random.chance(30))
    for (int64_t &dim : MutableArrayRef(left).drop_back(2))
      dim = random.chance(50) ? 1 : dim;
  return emit<nn::MatmulOp>(get(left, element), get(right, element));
}

bool ProgramMaker::packedMatmul() {
  Value left = get(shape(), f64());
  int64_t columns = size(), width = random.between(1, 4);
  Shape packed{(columns + width - 1) / width, shapeOf(left).back(), width};
  return emit<nn::PackedMatmulOp>(left, get(packed, f64()), static_cast<uint64_t>(columns));
}

bool ProgramMaker::expertMatmul() {
  int64_t tokens = size(), depth = size(), experts = random.between(1, 5);
  Value indices = getIndices({tokens * random.between(1, 3)}, -1, experts);
  return emit<nn::ExpertMatmulOp>(get({tokens, depth}, f64()), get({experts, depth, size()}, f64()), indices,
                                  IntegerAttr());
}

bool ProgramMaker::experts() {
  Shape lead = shape(1, 2), input = lead, chosen = lead;
  int64_t depth = size(), hidden = size(), experts = random.between(1, 5);
  input.push_back(depth);
  chosen.push_back(random.between(1, 3));
  auto activation = static_cast<nn::Activation>(random.below(4));
  Value gate = random.chance(60) ? get({experts, depth, hidden}, f64()) : Value();
  return emit<nn::ExpertsOp>(get(input, f64()), getIndices(chosen, 0, experts - 1), get(chosen, f64()),
                             get({experts, depth, hidden}, f64()), get({experts, hidden, size()}, f64()), gate,
                             activation);
}

bool ProgramMaker::softmax() {
  Value input = get(shape(), f64());
  return emit<nn::SoftmaxOp>(input, static_cast<uint64_t>(axisOf(shapeOf(input))), random.chance(30),
                             random.chance(30));
}

bool ProgramMaker::layerNorm() {
  Value input = get(shape(), f64());
  int64_t axis = axisOf(shapeOf(input));
  Shape inner(ArrayRef<int64_t>(shapeOf(input)).drop_front(axis));
  Value scale = random.chance(70) ? get(narrower(inner), f64()) : Value();
  Value bias = random.chance(50) ? get(narrower(inner), f64()) : Value();
  return emit<nn::LayerNormOp>(input, scale, bias, static_cast<uint64_t>(axis), APFloat(0.1), random.chance(40));
}

bool ProgramMaker::lrn() {
  Value input = get(shape(2, 4), f64());
  return emit<nn::LrnOp>(input, APFloat(0.5), APFloat(0.75), APFloat(1.0), static_cast<uint64_t>(random.between(1, 4)),
                         static_cast<uint64_t>(axisOf(shapeOf(input))));
}

bool ProgramMaker::groupNorm() {
  Shape of = shape(2, 4);
  int64_t groups = random.between(1, 3);
  if (of[1] % groups)
    of[1] = groups * random.between(1, 3);
  Shape channels{of[1]};
  return emit<nn::GroupNormOp>(get(of, f64()), get(channels, f64()), get(channels, f64()),
                               static_cast<uint64_t>(groups), APFloat(0.1));
}

bool ProgramMaker::attention() {
  int64_t kvHeads = random.between(1, 3), group = random.between(1, 3), batch = random.between(1, 3);
  int64_t rows = size(), keys = random.chance(50) ? rows : size(), depth = random.between(1, 3),
          width = random.between(1, 3);
  Value q = get({batch, kvHeads * group, rows, depth}, f64()), k = get({batch, kvHeads, keys, depth}, f64()),
        v = get({batch, kvHeads, keys, width}, f64()), mask;
  if (random.chance(50))
    mask = get(narrower({batch, kvHeads * group, rows, keys}), random.chance(50) ? i1() : f64());
  bool causal = random.chance(40);
  return emit<nn::AttentionOp>(q, k, v, mask, APFloat(0.5), causal, random.chance(50) ? 0 : keys - rows,
                               APFloat(random.chance(30) ? 2.0 : 0.0), mask || causal || random.chance(20));
}

bool ProgramMaker::rotary() {
  Shape of = shape();
  if (of.back() < 2)
    of.back() = 2 * random.between(1, 3);
  Shape angles = narrower(Shape(ArrayRef(of).drop_back()));
  angles.push_back(random.between(1, of.back() / 2));
  return emit<nn::RotaryOp>(get(of, f64()), get(angles, f64()), get(angles, f64()), random.chance(50));
}

//===----------------------------------------------------------------------===//
// Convolution and pooling
//===----------------------------------------------------------------------===//

/// Windows that fit; half the time of the kind that can be split (stride divides, output = input / stride).
ProgramMaker::Windows ProgramMaker::windows(ArrayRef<int64_t> spatial) {
  Windows windows;
  for (int64_t size : spatial) {
    int64_t kernel = random.between(1, 3), dilation = random.chance(80) ? 1 : 2, stride = random.chance(60) ? 1 : 2;
    int64_t reach = dilation * (kernel - 1) + 1, before = random.below(reach), after = random.below(reach);
    if (random.chance(60)) {
      before = random.below(reach);
      after = std::max<int64_t>(0, reach - stride - before);
    }
    if (size + before + after < reach) {
      kernel = stride = dilation = 1;
      before = after = 0;
    }
    windows.kernel.push_back(kernel);
    windows.strides.push_back(stride);
    windows.dilations.push_back(dilation);
    windows.begin.push_back(before);
    windows.end.push_back(after);
  }
  return windows;
}

bool ProgramMaker::conv() {
  int64_t groups = random.between(1, 3), perGroup = random.between(1, 3), outputs = groups * random.between(1, 3);
  Shape input{size(), groups * perGroup};
  for (int64_t rank = random.between(1, 2); rank > 0; --rank)
    input.push_back(random.between(1, 8));
  Windows w = windows(ArrayRef(input).drop_front(2));
  Shape weight{outputs, perGroup};
  llvm::append_range(weight, w.kernel);
  Value bias = random.chance(50) ? get({outputs}, f64()) : Value();
  return emit<nn::ConvOp>(get(input, f64()), get(weight, f64()), bias, w.strides, w.dilations, w.begin, w.end,
                          static_cast<uint64_t>(groups), random.chance(30));
}

bool ProgramMaker::convTranspose() {
  int64_t groups = random.between(1, 3), perGroup = random.between(1, 3);
  Shape input{size(), groups * random.between(1, 3)};
  for (int64_t rank = random.between(1, 2); rank > 0; --rank)
    input.push_back(random.between(1, 6));
  Windows w = windows(ArrayRef(input).drop_front(2));
  Shape weight{input[1], perGroup}, extra;
  llvm::append_range(weight, w.kernel);
  for (size_t i = 0; i < w.kernel.size(); ++i) {
    extra.push_back(random.below(w.strides[i]));
    w.end[i] = random.chance(50) ? 0 : w.end[i];
    if ((input[i + 2] - 1) * w.strides[i] + extra[i] + w.dilations[i] * (w.kernel[i] - 1) + 1 - w.begin[i] - w.end[i] <
        1)
      w.begin[i] = w.end[i] = 0;
  }
  Value bias = random.chance(50) ? get({groups * perGroup}, f64()) : Value();
  return emit<nn::ConvTransposeOp>(get(input, f64()), get(weight, f64()), bias, w.strides, w.dilations, w.begin, w.end,
                                   extra, static_cast<uint64_t>(groups));
}

bool ProgramMaker::maxPool() {
  Shape input{size(), size()};
  for (int64_t rank = random.between(1, 2); rank > 0; --rank)
    input.push_back(random.between(1, 8));
  Windows w = windows(ArrayRef(input).drop_front(2));
  return emit<nn::MaxPoolOp>(get(input, f64()), w.kernel, w.strides, w.dilations, w.begin, w.end,
                             /*channels_last=*/false);
}

bool ProgramMaker::avgPool() {
  Shape input{size(), size()};
  for (int64_t rank = random.between(1, 2); rank > 0; --rank)
    input.push_back(random.between(1, 8));
  Windows w = windows(ArrayRef(input).drop_front(2));
  return emit<nn::AvgPoolOp>(get(input, f64()), w.kernel, w.strides, w.dilations, w.begin, w.end, random.chance(50),
                             /*channels_last=*/false);
}

bool ProgramMaker::packedConv() {
  int64_t groups = random.between(1, 2), perGroup = random.between(1, 3), columns = random.between(1, 5),
          width = random.between(1, 4);
  Shape spatial{random.between(1, 6), random.between(1, 6)};
  Windows w = windows(spatial);
  Shape packed{groups, (columns + width - 1) / width};
  llvm::append_range(packed, w.kernel);
  packed.append({perGroup, width});
  Value input = get({size(), spatial[0], spatial[1], groups * perGroup}, f64());
  return emit<nn::PackedConvOp>(input, get(packed, f64()), static_cast<uint64_t>(groups * columns), w.strides,
                                w.dilations, w.begin, w.end);
}

bool ProgramMaker::depthwiseConv() {
  Shape spatial{random.between(1, 6), random.between(1, 6)};
  Windows w = windows(spatial);
  int64_t channels = size();
  Shape weight(w.kernel);
  weight.push_back(channels);
  Value input = get({size(), spatial[0], spatial[1], channels}, f64());
  return emit<nn::DepthwiseConvOp>(input, get(weight, f64()), w.strides, w.dilations, w.begin, w.end);
}
