#ifndef MPOPT_TOOLS_MPOPT_EXPLAIN_H
#define MPOPT_TOOLS_MPOPT_EXPLAIN_H

#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

namespace mpopt {

/// Prints the "blocks" of an account (--json has the same): what was chosen, what it costs, what the next best choice would cost.
void printExplanation(const llvm::json::Object &account, llvm::raw_ostream &os);

/// "2 all_reduce (1.5 MiB), 1 all_gather (12.0 KiB)", or "none".
std::string collectivesText(const llvm::json::Array &collectives);

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_EXPLAIN_H
