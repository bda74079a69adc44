#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mpopt/Dialect/Shd/PartitionRule.h"
#include "mpopt/Partition/Passes.h"

using namespace mlir;
using namespace mpopt;

namespace mpopt::partition {
#define GEN_PASS_DEF_TESTPRINTRULES
#include "mpopt/Partition/Passes.h.inc"

namespace {

StringRef kindName(shd::FactorKind kind) {
  switch (kind) {
  case shd::FactorKind::Parallel:
    return "";
  case shd::FactorKind::Reduce:
    return ":reduce";
  case shd::FactorKind::NeedReplicate:
    return ":whole";
  case shd::FactorKind::Halo:
    return ":halo";
  }
  return "";
}

void printTensors(raw_ostream &os, ArrayRef<shd::PartitionRule::TensorDims> tensors) {
  llvm::interleaveComma(tensors, os, [&](const auto &dims) {
    if (dims.empty())
      os << "scalar";
    for (const auto &factors : dims) {
      os << '[';
      llvm::interleave(factors, os, " ");
      os << ']';
    }
  });
}

void printRule(raw_ostream &os, Operation *op, const shd::PartitionRule &rule) {
  os << op->getName() << ": ";
  printTensors(os, rule.operandDims);
  os << " -> ";
  printTensors(os, rule.resultDims);
  if (!rule.factors.empty())
    os << ';';
  for (auto [i, factor] : llvm::enumerate(rule.factors)) {
    os << ' ' << i << '=' << factor.size << kindName(factor.kind);
    if (factor.kind == shd::FactorKind::Reduce)
      os << '(' << shd::stringifyReduceKind(factor.reduce) << ')';
    if (factor.evenOnly)
      os << ":even";
    if (factor.minLocal > 1)
      os << ":min" << factor.minLocal;
  }
  if (!rule.linearIn.empty())
    os << "; linear";
  for (const auto &set : rule.linearIn) {
    os << " {";
    llvm::interleave(set, os, " ");
    os << '}';
  }
  os << '\n';
}

struct TestPrintRulesPass : impl::TestPrintRulesBase<TestPrintRulesPass> {
  void runOnOperation() override {
    getOperation().walk([](shd::PartitionInterface op) { printRule(llvm::outs(), op, op.getPartitionRule()); });
    markAllAnalysesPreserved();
  }
};

} // namespace
} // namespace mpopt::partition
