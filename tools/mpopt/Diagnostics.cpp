#include "Diagnostics.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/raw_ostream.h"
#include <unistd.h>

using namespace mlir;

namespace mpopt {

/// The ONNX node that a location names, or nothing.
static llvm::StringRef nodeOf(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName();
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (llvm::StringRef name = nodeOf(part); !name.empty())
        return name;
  return {};
}

/// The message, with the ONNX node that it is about.
static std::string textOf(Diagnostic &diagnostic) {
  std::string text = diagnostic.str();
  llvm::StringRef node = nodeOf(diagnostic.getLocation());
  if (!node.empty() && text.find(node.str()) == std::string::npos)
    text += " (node " + node.str() + ")";
  return text;
}

DiagnosticPrinter::DiagnosticPrinter(MLIRContext *context) : ScopedDiagnosticHandler(context) {
  setHandler([](Diagnostic &diagnostic) {
    const char *kind = diagnostic.getSeverity() == DiagnosticSeverity::Error ? "error" : "warning";
    if (diagnostic.getSeverity() == DiagnosticSeverity::Remark || diagnostic.getSeverity() == DiagnosticSeverity::Note)
      return success();
    llvm::errs() << "mpopt: " << kind << ": " << textOf(diagnostic) << "\n";
    return success();
  });
}

ErrorKeeper::ErrorKeeper(MLIRContext *context) : ScopedDiagnosticHandler(context) {
  setHandler([this](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
      return failure();
    if (first.empty())
      first = textOf(diagnostic);
    return success();
  });
}

Progress::Progress() : isTerminal(isatty(STDERR_FILENO)), start(std::chrono::steady_clock::now()) {}

void Progress::begin(llvm::StringRef phase) {
  if (!isTerminal || std::chrono::steady_clock::now() - start < std::chrono::seconds(1))
    return;
  llvm::errs() << "\r\033[K" << phase << " ...";
  llvm::errs().flush();
  shown = true;
}

void Progress::clear() {
  if (shown)
    llvm::errs() << "\r\033[K";
  shown = false;
}

} // namespace mpopt
