// ONNX normalisations.
#include "Node.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

/// Mean and 1 / standard deviation over the dimensions from `axis` on: the results after the first, for training.
SmallVector<Value> statistics(Node &n, Value x, int64_t axis, double epsilon) {
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(axis, Build::rankOf(x)));
  Value mean = n.mean(x, axes, /*keepDims=*/true), centered = n.sub(x, mean);
  Value variance = n.mean(n.mul(centered, centered), axes, /*keepDims=*/true);
  return {mean, n.make<nn::RsqrtOp>({n.add(variance, n.like(x, epsilon))})};
}

/// Layer normalization whose scale or bias may differ between what is normalised on its own, as between heads.
Value normalize(Node &n, Value x, Value scale, Value bias, int64_t axis, double epsilon, bool rms) {
  int64_t inner = Build::rankOf(x) - axis;
  for (Value *each : {&scale, &bias}) // leading dimensions of 1 are left away
    if (*each && Build::rankOf(*each) > inner &&
        llvm::all_of(Build::shapeOf(*each).drop_back(inner), [](int64_t size) { return size == 1; }))
      *each = n.reshape(*each, Build::shapeOf(*each).take_back(inner));
  bool differs = llvm::any_of(ArrayRef<Value>{scale, bias}, [&](Value v) { return v && Build::rankOf(v) > inner; });
  if (!differs)
    return n.layerNorm(x, scale, bias, axis, epsilon, rms);
  Value result = n.mul(n.layerNorm(x, nullptr, nullptr, axis, epsilon, rms), scale);
  return bias ? n.add(result, bias) : result;
}

template <bool rms> void lowerLayerNorm(Node &n) {
  Value x = n.in(0), scale = n.in(1);
  if (!x || !scale)
    return;
  int64_t axis = n.axis(n.intAttr("axis", -1), Build::rankOf(x));
  double epsilon = n.floatAttr("epsilon", 1e-5f);
  if (n.hasFailed())
    return;
  SmallVector<Value> results{normalize(n, x, scale, rms ? Value() : n.opt(2), axis, epsilon, rms)};
  if (!rms && (n.wants(1) || n.wants(2)))
    llvm::append_range(results, statistics(n, x, axis, epsilon));
  n.give(results);
}

/// A value per channel, with dimensions of size 1 for what follows the channels of x.
Value perChannel(Node &n, Value value, Value x) {
  SmallVector<int64_t> shape(Build::rankOf(x) - 1, 1);
  shape[0] = Build::shapeOf(x)[1];
  return n.reshape(value, shape);
}

/// Each channel's own mean and variance; the second and third result move the running ones towards them.
void lowerTrainingBatchNorm(Node &n) {
  Value x = n.in(0);
  SmallVector<int64_t> axes{0};
  llvm::append_range(axes, llvm::seq<int64_t>(2, Build::rankOf(x)));
  Value mean = n.mean(x, axes, /*keepDims=*/true), centered = n.sub(x, mean);
  Value variance = n.mean(n.mul(centered, centered), axes, /*keepDims=*/true);
  Value factor = n.make<nn::RsqrtOp>({n.add(variance, n.like(x, n.floatAttr("epsilon", 1e-5f)))});
  Value normalized = n.mul(n.mul(centered, factor), perChannel(n, n.in(1), x));
  SmallVector<Value> results{n.add(normalized, perChannel(n, n.in(2), x))};
  double momentum = n.floatAttr("momentum", 0.9f);
  for (auto [running, current] : {std::pair(n.in(3), mean), std::pair(n.in(4), variance)}) {
    Value flat = n.reshape(current, Build::shapeOf(running));
    results.push_back(n.add(n.mul(running, n.like(running, momentum)), n.mul(flat, n.like(running, 1 - momentum))));
  }
  n.give(results);
}

/// x * s + (bias - mean * s) with s = scale / sqrt(variance + epsilon), per channel: all but x known when the plan is made.
void lowerBatchNorm(Node &n) {
  Value x = n.in(0), scale = n.in(1), bias = n.in(2), mean = n.in(3), variance = n.in(4);
  if (!x || !scale || !bias || !mean || !variance)
    return;
  if (Build::rankOf(x) < 2) {
    n.fail() << "ONNX operator BatchNormalization without channels is not supported" << kExportAnew;
    return;
  }
  if (n.intAttr("training_mode", 0))
    return lowerTrainingBatchNorm(n);
  Value deviation = n.make<nn::SqrtOp>({n.add(variance, n.like(variance, n.floatAttr("epsilon", 1e-5f)))});
  Value factor = n.div(scale, deviation);
  Value shift = n.sub(bias, n.mul(mean, factor));
  n.give(n.add(n.mul(x, perChannel(n, factor, x)), perChannel(n, shift, x)));
}

void lowerInstanceNorm(Node &n) {
  Value x = n.in(0);
  if (x && Build::rankOf(x) >= 2)
    n.give(n.make<nn::GroupNormOp>({x, n.in(1), n.in(2)}, {n.integer("groups", Build::shapeOf(x)[1]),
                                                           n.number("epsilon", n.floatAttr("epsilon", 1e-5f))}));
}

/// scale and bias are per group before operator set 21, per channel after.
void lowerGroupNorm(Node &n) {
  Value x = n.in(0), scale = n.in(1), bias = n.in(2);
  int64_t groups = n.intAttr("num_groups", 1);
  if (!x || !scale || !bias || Build::rankOf(x) < 2 || groups < 1)
    return;
  int64_t channels = Build::shapeOf(x)[1];
  auto perChannel = [&](Value v) {
    if (n.version >= 21)
      return v;
    return n.reshape(n.broadcast(n.reshape(v, {groups, 1}), {groups, channels / groups}), {channels});
  };
  n.give(n.make<nn::GroupNormOp>({x, perChannel(scale), perChannel(bias)},
                                 {n.integer("groups", groups), n.number("epsilon", n.floatAttr("epsilon", 1e-5f))}));
}

void lowerLrn(Node &n) {
  n.give(n.make<nn::LrnOp>(
      {n.in(0)}, {n.number("alpha", n.floatAttr("alpha", 1e-4f)), n.number("beta", n.floatAttr("beta", 0.75f)),
                  n.number("bias", n.floatAttr("bias", 1)), n.integer("size", n.intAttr("size", 1))}));
}

void lowerLpNorm(Node &n) {
  Value x = n.in(0);
  if (!x)
    return;
  int64_t axis = n.axis(n.intAttr("axis", -1), Build::rankOf(x));
  bool one = n.intAttr("p", 2) == 1;
  Value norm = n.reduce(nn::ReduceKind::Sum, one ? n.make<nn::AbsOp>({x}) : n.mul(x, x), {axis}, true);
  Value divisor = one ? norm : n.make<nn::SqrtOp>({norm});
  // A vector of zeros stays one.
  n.give(n.select(n.compare(nn::Predicate::Eq, divisor, n.like(x, 0)), n.like(x, 0), n.div(x, divisor)));
}

} // namespace

void mpopt::onnx::addNorms(LoweringTable &table) {
  table["LayerNormalization"] = lowerLayerNorm<false>;
  table["RMSNormalization"] = lowerLayerNorm<true>;
  table["SimplifiedLayerNormalization"] = lowerLayerNorm<true>;
  table["BatchNormalization"] = lowerBatchNorm;
  table["InstanceNormalization"] = lowerInstanceNorm;
  table["GroupNormalization"] = lowerGroupNorm;
  table["LRN"] = lowerLrn;
  table["LpNormalization"] = lowerLpNorm;
}
