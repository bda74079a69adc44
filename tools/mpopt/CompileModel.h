#ifndef MPOPT_TOOLS_MPOPT_COMPILEMODEL_H
#define MPOPT_TOOLS_MPOPT_COMPILEMODEL_H

#include "Arguments.h"

namespace mpopt {

/// `mpopt MODEL`, and with dryRun `mpopt plan MODEL`: compiles, prints the account, writes what was asked for; the exit code. Errors are one
/// line on stderr.
int compileModel(Arguments arguments);

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_COMPILEMODEL_H
