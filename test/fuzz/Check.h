#ifndef MPOPT_TEST_FUZZ_CHECK_H
#define MPOPT_TEST_FUZZ_CHECK_H

#include "ProgramMaker.h"

namespace mpopt::fuzz {

/// Partitions a copy of an annotated program, runs both, and compares. Empty when they agree, else what differs or the
/// diagnostics.
std::string check(Program &program);

/// The same in single precision with the compiler's kernels and the runtime, ranks as threads. The tolerance follows from how far
/// the interpreter's single precision is from its double precision on the same program; where that is far, nothing is compared.
std::string checkCompiled(Program &program);

using Checker = std::string (*)(Program &);

/// A smaller program that fails as well, found by dropping outputs, cutting operations off (their results become inputs) and
/// replicating what is sharded, as long as it still fails.
Program reduce(Program &program, Checker check);

/// Runs one seed: makes a program, a mesh and shardings. Empty when all is well, else a report with a reduced program.
std::string runSeed(mlir::MLIRContext *context, uint64_t seed);

/// The same by checkCompiled.
std::string runCompiledSeed(mlir::MLIRContext *context, uint64_t seed);

/// runSeed with shardings that the planner chooses, for 2 to 8 devices of a machine so slow that splitting pays.
std::string runPlannedSeed(mlir::MLIRContext *context, uint64_t seed);

/// What is wrong with a program, and a reduced one that fails `check` as well.
std::string describeFailure(Program &program, const std::string &problem, Checker check = fuzz::check);

} // namespace mpopt::fuzz

#endif // MPOPT_TEST_FUZZ_CHECK_H
