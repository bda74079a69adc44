#ifndef MPOPT_TOOLS_MPOPT_SWEEPTABLE_H
#define MPOPT_TOOLS_MPOPT_SWEEPTABLE_H

#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

namespace mpopt {

/// A sweep ({"axes", "points"}) as a table for people.
void printSweep(const llvm::json::Object &sweep, llvm::raw_ostream &os);

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_SWEEPTABLE_H
