// Rules of mixtures of experts: tokens, experts and the experts' hidden dimension can be split.
#include "Rules.h"

#include <cmath>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::nn;
using shd::FactorKind;
using shd::LocalContext;
using shd::OpWork;
using shd::PartitionRule;

/// Marks the factor over experts: a device adds what its own experts make.
static void linkExperts(RuleBuilder &builder, ArrayRef<Slot> slots) {
  if (auto factor = builder.link(slots, FactorKind::Reduce))
    builder.rule.factors[*factor].role = shd::FactorRole::Expert;
}

/// `indices` counted from the first expert that this device has along `axes`, `experts` for each place; others' experts then lie outside of what
/// it has.
static Value localIndices(OpBuilder &builder, Location loc, Value indices, int64_t experts, ArrayRef<StringAttr> axes,
                          LocalBuilder &local) {
  if (axes.empty())
    return indices;
  Type element = typeOf(indices).getElementType();
  Value first = local.place(axes, experts);
  if (typeOf(first).getElementType() != element)
    first = CastOp::create(builder, loc, RankedTensorType::get({}, element), first);
  return local.binary<SubOp>(indices, first);
}

//===----------------------------------------------------------------------===//
// expert_matmul
//===----------------------------------------------------------------------===//

PartitionRule ExpertMatmulOp::getPartitionRule() {
  RuleBuilder builder(*this);
  if (getN()) // packed: for kernels only
    return builder.rule;
  int64_t rows = builder.size(in(0, 0)), times = rows ? builder.size(in(2, 0)) / rows : 1;
  if (auto factor = builder.link({in(0, 0)}))
    for (Slot slot : {in(2, 0), out(0, 0)})
      builder.append(slot, *factor);
  if (times > 1) {
    unsigned factor = builder.rule.addFactor(times);
    for (Slot slot : {in(2, 0), out(0, 0)})
      builder.append(slot, factor);
  }
  builder.link({in(1, 2), out(0, 1)});
  builder.link({in(0, 1), in(1, 1)}, FactorKind::Reduce);
  linkExperts(builder, {in(1, 0)});
  builder.rule.linearIn = {{0}, {1}};
  return builder.rule;
}

FailureOr<SmallVector<Value>> ExpertMatmulOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                         const LocalContext &context) {
  LocalBuilder local(builder, getLoc(), context);
  Value indices =
      localIndices(builder, getLoc(), operands[2], typeOf(operands[1]).getDimSize(0), context.axesOf(1, 0), local);
  return SmallVector<Value>{
      ExpertMatmulOp::create(builder, getLoc(), operands[0], operands[1], indices, IntegerAttr())};
}

/// How unlike each other the shares of single experts are, as standard deviation over mean: about what figure 7 of "Mixtral of Experts"
/// (arXiv:2401.04088) shows of a trained router.
static constexpr double kExpertSpread = 0.3;

/// The share of the tokens that the fullest of the devices has, for which the others wait. Groups of n of E experts, E / n = D of them, have shares
/// with a standard deviation of kExpertSpread / D * sqrt((D - 1) / (E - 1)); the largest of D independent values with deviation s is about
/// s * sqrt(log D) over their mean, and these add up to 1, which makes it sqrt(D / (D - 1)) times that.
static double expertShare(const PartitionRule &rule, ArrayRef<int64_t> sizes) {
  for (auto [factor, size] : llvm::zip_equal(rule.factors, sizes)) {
    if (factor.role != shd::FactorRole::Expert || size >= factor.size)
      continue;
    double experts = static_cast<double>(factor.size), share = static_cast<double>(size) / experts, groups = 1 / share;
    return std::min(1.0, share * (1 + kExpertSpread * std::sqrt(groups * std::log(groups) / (experts - 1))));
  }
  return 1;
}

OpWork ExpertMatmulOp::getLocalWork(ArrayRef<int64_t> sizes) {
  PartitionRule rule = getPartitionRule();
  OpWork work = shd::defaultWork(*this, rule, sizes);
  double rows = static_cast<double>(localSize(rule.resultDims[0][0], sizes)) * expertShare(rule, sizes);
  OpWork::Matmul dims{1, std::max<int64_t>(1, std::llround(rows)), localSize(rule.resultDims[0][1], sizes),
                      localSize(rule.operandDims[0][1], sizes)};
  work.flops = 2.0 * dims.m * dims.n * dims.k;
  work.matmul = dims;
  return work;
}

//===----------------------------------------------------------------------===//
// experts
//===----------------------------------------------------------------------===//

PartitionRule ExpertsOp::getPartitionRule() {
  RuleBuilder builder(*this);
  int64_t last = typeOf(getInput()).getRank() - 1;
  // What is known before the first step is not sent to others.
  bool mayRoute = llvm::none_of(getOperands().take_front(3), [](Value value) { return isInitTime(value); });
  for (int64_t d = 0; d < last; ++d)
    if (auto factor = builder.link({in(0, d), in(1, d), in(2, d), out(0, d)}))
      builder.rule.factors[*factor].role = mayRoute ? shd::FactorRole::Token : shd::FactorRole::Unknown;
  builder.link({in(1, last), in(2, last)}, FactorKind::Reduce);
  builder.link({in(4, 2), out(0, last)});
  SmallVector<Slot> hidden{in(3, 2), in(4, 1)}, experts{in(3, 0), in(4, 0)};
  if (getGate()) {
    hidden.push_back(in(5, 2));
    experts.push_back(in(5, 0));
  }
  builder.link(hidden, FactorKind::Reduce);
  linkExperts(builder, experts);
  builder.rule.linearIn = {{2}, {4}};
  return builder.rule;
}

/// What is sent where tokens go to their experts: the rows there and back, and before that everybody's choices and shares.
static void addRouting(ExpertsOp op, const PartitionRule &rule, ArrayRef<int64_t> sizes, OpWork &work) {
  const auto *experts = llvm::find_if(rule.factors, [](const auto &f) { return f.role == shd::FactorRole::Expert; });
  if (experts == rule.factors.end())
    return;
  auto factor = static_cast<unsigned>(experts - rule.factors.begin());
  ArrayRef<SmallVector<unsigned, 2>> dims = rule.operandDims[1];
  double tokens = 1;
  for (ArrayRef<unsigned> parts : dims.drop_back())
    tokens *= static_cast<double>(localSize(parts, sizes));
  int64_t chosen = localSize(dims.back(), sizes);
  double share = coll::getRoutedShare(experts->size, sizes[factor], chosen);
  auto add = [&](double bytes, double sent) {
    work.internal.push_back({OpWork::Internal::Route, factor, sent * tokens * bytes, tokens * bytes});
  };
  constexpr double kIndexBytes = 8;
  add(static_cast<double>(chosen) * kIndexBytes, 1);
  add(static_cast<double>(chosen) * elementBytes(op.getScales()), 1);
  add(static_cast<double>(typeOf(op.getInput()).getShape().back()) * elementBytes(op.getInput()), share);
  add(static_cast<double>(localSize(rule.resultDims[0].back(), sizes)) * elementBytes(op.getResult()), share);
}

OpWork ExpertsOp::getLocalWork(ArrayRef<int64_t> sizes) {
  PartitionRule rule = getPartitionRule();
  OpWork work = shd::defaultWork(*this, rule, sizes);
  double rows = expertShare(rule, sizes);
  for (ArrayRef<unsigned> factors : rule.operandDims[1])
    rows *= static_cast<double>(localSize(factors, sizes));
  ArrayRef<int64_t> up = typeOf(getUp()).getShape();
  int64_t hidden = localSize(rule.operandDims[3][2], sizes), out = localSize(rule.operandDims[4][2], sizes);
  int64_t experts = std::max<int64_t>(1, localSize(rule.operandDims[3][0], sizes));
  OpWork::Matmul dims{experts, std::max<int64_t>(1, std::llround(std::ceil(rows / static_cast<double>(experts)))),
                      hidden, (getGate() ? 2 : 1) * up[1] + out};
  work.flops = 2.0 * rows * dims.n * dims.k;
  work.matmul = dims;
  // What lies between the products: up, gate, and both in one.
  double between = rows * static_cast<double>(hidden) * elementBytes(getInput()) * (getGate() ? 3 : 1);
  work.bytesWritten += between;
  work.bytesRead += between;
  addRouting(*this, rule, sizes, work);
  return work;
}

namespace {

/// Takes a mixture of experts apart into products of rows by the matrices that they are sent to.
class ExpertsBuilder {
public:
  ExpertsBuilder(ExpertsOp op, OpBuilder &builder, ValueRange operands, LocalBuilder &local)
      : op(op), builder(builder), operands(operands), local(local), shape(typeOf(operands[1]).getShape()) {
    for (int64_t size : ArrayRef(shape).drop_back())
      tokens *= size;
  }

  /// `routed` are the minor ones of the axes of the experts.
  Value build(ArrayRef<StringAttr> expertAxes, ArrayRef<StringAttr> routed) {
    ArrayRef<StringAttr> others = expertAxes.drop_back(routed.size());
    Value input = reshape(operands[0], {tokens, typeOf(operands[0]).getShape().back()});
    Value indices = operands[1], scales = reshape(operands[2], {tokens, shape.back()});
    Value sum = routed.empty() ? mix(input, reshape(expertsFrom(indices, 1, others), {tokens, shape.back()}), scales)
                               : mixRouted(input, indices, scales, others, routed);
    SmallVector<int64_t> result(ArrayRef(shape).drop_back());
    result.push_back(typeOf(sum).getDimSize(1));
    return reshape(sum, result);
  }

private:
  /// Indices from this device's first expert along `axes` on, where each place has the experts of `devices`.
  Value expertsFrom(Value indices, int64_t devices, ArrayRef<StringAttr> axes) {
    return localIndices(builder, op.getLoc(), indices, devices * typeOf(operands[3]).getDimSize(0), axes, local);
  }

  /// Everybody learns all choices and shares; then only those rows travel that a device's experts are chosen for.
  Value mixRouted(Value input, Value indices, Value scales, ArrayRef<StringAttr> others, ArrayRef<StringAttr> routed) {
    if (Type i64 = builder.getI64Type(); typeOf(indices).getElementType() != i64)
      indices = CastOp::create(builder, op.getLoc(), RankedTensorType::get(shape, i64), indices);
    int64_t devices = local.ways(routed), experts = typeOf(operands[3]).getDimSize(0);
    indices = expertsFrom(indices, devices, others);
    Value choices = local.gather(reshape(local.maskAll(indices, op, 1, kNoExpert), {tokens, shape.back()}), routed);
    Value rows = local.route<coll::DispatchOp>(input, choices, experts, devices * tokens, routed);
    Value made = mix(rows, expertsFrom(choices, 1, routed), local.gather(scales, routed));
    return local.route<coll::CombineOp>(made, choices, experts, tokens, routed);
  }

  /// The sum for rows [t, h], indices and scales [t, k].
  Value mix(Value input, Value choices, Value scales) {
    int64_t t = typeOf(choices).getDimSize(0), k = typeOf(choices).getDimSize(1);
    Value indices = reshape(choices, {t * k});
    Value hidden = times(input, operands[3], indices);
    hidden =
        op.getGate() ? local.binary<MulOp>(activate(times(input, operands[5], indices)), hidden) : activate(hidden);
    Value made = times(hidden, operands[4], indices);
    made = local.binary<MulOp>(made, reshape(scales, {t * k, 1}));
    made = reshape(made, {t, k, typeOf(made).getDimSize(1)});
    return ReduceOp::create(builder, op.getLoc(), ReduceKind::Sum, made, ArrayRef<int64_t>{1}, /*keep_dims=*/false);
  }

  Value times(Value lhs, Value weights, Value indices) {
    return ExpertMatmulOp::create(builder, op.getLoc(), lhs, weights, indices, IntegerAttr());
  }

  Value reshape(Value value, ArrayRef<int64_t> to) {
    return builder.createOrFold<ReshapeOp>(op.getLoc(), typeOf(value).clone(to), value);
  }

  Value activate(Value x) {
    switch (op.getActivation()) {
    case Activation::Relu:
      return local.unary<ReluOp>(x);
    case Activation::Silu:
      return local.unary<SiluOp>(x);
    case Activation::Gelu:
    case Activation::GeluTanh:
      return GeluOp::create(builder, op.getLoc(), x, op.getActivation() == Activation::GeluTanh);
    }
    llvm_unreachable("all activations are listed");
  }

  static constexpr int64_t kNoExpert = -1;

  ExpertsOp op;
  OpBuilder &builder;
  ValueRange operands;
  LocalBuilder &local;
  SmallVector<int64_t> shape; ///< Of the local indices.
  int64_t tokens = 1;
};

} // namespace

FailureOr<SmallVector<Value>> ExpertsOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                    const LocalContext &context) {
  LocalBuilder local(builder, getLoc(), context);
  SmallVector<StringAttr> routed = shd::getRoutedAxes(context.rule, context.strategy);
  return SmallVector<Value>{ExpertsBuilder(*this, builder, operands, local).build(context.axesOf(3, 0), routed)};
}
