#include "FailLoudly.h"
#include "mlir/IR/Diagnostics.h"

using namespace mlir;

LogicalResult mpopt::failLoudly(MLIRContext &context, const std::string &phase, function_ref<LogicalResult()> work) {
  bool said = false;
  ScopedDiagnosticHandler listener(&context, [&](Diagnostic &diagnostic) {
    said |= diagnostic.getSeverity() == DiagnosticSeverity::Error;
    return failure(); // who listens outside prints it
  });
  if (succeeded(work()))
    return success();
  if (!said)
    emitError(UnknownLoc::get(&context))
        << phase << " failed without saying why: this is an error of mpopt; please report it with the model";
  return failure();
}
