// Rules of reductions and of operators that scan one axis.
#include "Rules.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::nn;
using shd::FactorKind;
using shd::PartitionRule;

/// The value that changes nothing: 0, 1, or the least or largest of the type.
static double identityOf(ReduceKind kind, Type element) {
  if (kind == ReduceKind::Sum)
    return 0;
  if (kind == ReduceKind::Prod)
    return 1;
  double bound = std::numeric_limits<double>::infinity();
  if (!isa<FloatType>(element))
    bound = std::ldexp(1.0, element.getIntOrFloatBitWidth() - 1);
  return kind == ReduceKind::Max ? -bound : std::nexttoward(bound, isa<FloatType>(element) ? bound : 0.0);
}

PartitionRule ReduceOp::getPartitionRule() {
  RuleBuilder builder(*this);
  auto kind = static_cast<shd::ReduceKind>(getKind());
  int64_t next = 0;
  for (int64_t d = 0, rank = typeOf(getInput()).getRank(); d < rank; ++d) {
    if (llvm::is_contained(getAxes(), d)) {
      builder.link({in(0, d)}, FactorKind::Reduce, kind);
      next += getKeepDims();
    } else {
      builder.link({in(0, d), out(0, next++)});
    }
  }
  if (getKind() == ReduceKind::Sum)
    builder.rule.linearIn = {{0}};
  builder.rule.padValue[0] = identityOf(getKind(), typeOf(getInput()).getElementType());
  return builder.rule;
}

/// All dimensions but `axis` are parallel; every result drops that axis or keeps it.
static PartitionRule alongAxisRule(Operation *op, int64_t axis, bool drops) {
  RuleBuilder builder(op);
  int64_t rank = typeOf(op->getOperand(0)).getRank();
  for (int64_t d = 0; d < rank; ++d) {
    if (d == axis)
      continue;
    SmallVector<Slot> slots{in(0, d)};
    for (unsigned r = 0; r < op->getNumResults(); ++r)
      slots.push_back(out(r, drops && d > axis ? d - 1 : d));
    builder.link(slots);
  }
  return builder.rule;
}

PartitionRule ArgReduceOp::getPartitionRule() { return alongAxisRule(*this, getAxis(), !getKeepDims()); }
PartitionRule TopKOp::getPartitionRule() { return alongAxisRule(*this, getAxis(), false); }
PartitionRule LrnOp::getPartitionRule() { return alongAxisRule(*this, getAxis(), false); }

PartitionRule CumSumOp::getPartitionRule() {
  PartitionRule rule = alongAxisRule(*this, getAxis(), false);
  rule.linearIn = {{0}};
  return rule;
}
