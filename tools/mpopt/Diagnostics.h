#ifndef MPOPT_TOOLS_MPOPT_DIAGNOSTICS_H
#define MPOPT_TOOLS_MPOPT_DIAGNOSTICS_H

#include "mlir/IR/Diagnostics.h"
#include <chrono>

namespace mpopt {

/// Prints diagnostics as one line each: "mpopt: error: what (node /layer.0/MatMul)". Notes are left out.
class DiagnosticPrinter : public mlir::ScopedDiagnosticHandler {
public:
  explicit DiagnosticPrinter(mlir::MLIRContext *context);
};

/// Keeps the first error as such a line, instead of printing it; all but errors go on to the handler around this one.
class ErrorKeeper : public mlir::ScopedDiagnosticHandler {
public:
  explicit ErrorKeeper(mlir::MLIRContext *context);
  /// Empty where there was none.
  const std::string &error() const { return first; }

private:
  std::string first;
};

/// One line on a terminal that names the phase, for work that takes over a second; nothing when standard error is no terminal.
class Progress {
public:
  Progress();
  ~Progress() { clear(); }
  void begin(llvm::StringRef phase);
  void clear();

private:
  bool isTerminal, shown = false;
  std::chrono::steady_clock::time_point start;
};

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_DIAGNOSTICS_H
