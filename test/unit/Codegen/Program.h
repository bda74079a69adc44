#ifndef MPOPT_TEST_UNIT_CODEGEN_PROGRAM_H
#define MPOPT_TEST_UNIT_CODEGEN_PROGRAM_H

#include "Harness.h"

namespace mpopt::test {

/// Forms kernels of the module `text` (a function @main of nn operators), compiles and runs them one after the other on random inputs,
/// for every runnable target, and compares the results with the interpreter's of the module as it is. Returns the formed module's
/// text for the last target.
std::string checkProgram(const std::string &text, double tolerance = 1e-5);

} // namespace mpopt::test

#endif // MPOPT_TEST_UNIT_CODEGEN_PROGRAM_H
