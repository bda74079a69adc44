#include "FailLoudly.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include <gmock/gmock.h>

using namespace mlir;
using namespace mpopt;

namespace {

/// Gives up, with a message or without.
struct GiveUp : PassWrapper<GiveUp, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(GiveUp)
  explicit GiveUp(bool speaks) : speaks(speaks) {}
  void runOnOperation() override {
    if (speaks)
      getOperation().emitError("too odd");
    else
      getOperation().emitWarning("odd");
    signalPassFailure();
  }
  bool speaks;
};

/// The errors of a run in phase "simplifying"; `work` gets a module.
std::vector<std::string> errorsOf(function_ref<LogicalResult(ModuleOp)> work, bool fails) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  std::vector<std::string> errors;
  ScopedDiagnosticHandler outside(&context, [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
      errors.push_back(diagnostic.str());
    return success();
  });
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  EXPECT_EQ(failed(failLoudly(context, "simplifying", [&] { return work(*module); })), fails);
  return errors;
}

LogicalResult giveUp(ModuleOp module, bool speaks) {
  PassManager manager(module.getContext());
  manager.addPass(std::make_unique<GiveUp>(speaks));
  return manager.run(module);
}

TEST(FailLoudly, SaysWhereAPassGaveUpSilently) {
  EXPECT_THAT(errorsOf([](ModuleOp module) { return giveUp(module, false); }, true),
              testing::ElementsAre(testing::StartsWith("simplifying failed without saying why")));
}

TEST(FailLoudly, LeavesAPassItsOwnMessage) {
  EXPECT_THAT(errorsOf([](ModuleOp module) { return giveUp(module, true); }, true), testing::ElementsAre("too odd"));
}

TEST(FailLoudly, SaysNothingOfWorkThatSucceeds) {
  EXPECT_THAT(errorsOf([](ModuleOp) { return success(); }, false), testing::IsEmpty());
}

} // namespace
