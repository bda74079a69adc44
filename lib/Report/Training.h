#ifndef MPOPT_LIB_REPORT_TRAINING_H
#define MPOPT_LIB_REPORT_TRAINING_H

#include "Format.h"
#include "llvm/Support/raw_ostream.h"

namespace mpopt::report {

/// A part of a sum that is drawn as a bar.
struct Part {
  const char *key, *label, *style;
};

/// Sections of the page about a training plan, written to `os` from its account: each stage's passes over time, and its memory by kind.
void writePasses(const json::Object &account, llvm::raw_ostream &os);
void writeMemoryByKind(const json::Object &account, llvm::raw_ostream &os);

} // namespace mpopt::report

#endif // MPOPT_LIB_REPORT_TRAINING_H
