#ifndef MPOPT_REPORT_REPORT_H
#define MPOPT_REPORT_REPORT_H

#include "llvm/Support/JSON.h"
#include <string>

namespace mpopt::report {

/// One self-contained HTML page about a plan, from its account with details (CompileOptions::details): text, SVG, style and a few lines of script;
/// nothing is fetched. Numbers stand in `data-value` as the account has them. The same account gives the same bytes.
std::string planPage(const llvm::json::Object &account);

/// The same about a sweep: {"model", "axes", "points"} as `mpopt plan --sweep --json` writes it.
std::string sweepPage(const llvm::json::Object &sweep);

/// The same about a training step, from search::trainingAccount(); `model` is what the page calls the model.
std::string trainingPage(const llvm::json::Object &account, llvm::StringRef model);

} // namespace mpopt::report

#endif // MPOPT_REPORT_REPORT_H
