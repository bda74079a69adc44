#ifndef MPOPT_TEST_FUZZ_RUNCOMPILED_H
#define MPOPT_TEST_FUZZ_RUNCOMPILED_H

#include "ProgramMaker.h"

namespace mpopt::fuzz {

/// The program with all doubles as floats, inputs and constants included.
Program inSinglePrecision(Program &program);

/// Schedules and compiles a partitioned program, writes its plan, loads it and runs it over one thread per device. Failure, with a
/// diagnostic, where any of these fails.
mlir::FailureOr<interp::Tensors> runCompiled(Program &partitioned);

} // namespace mpopt::fuzz

#endif // MPOPT_TEST_FUZZ_RUNCOMPILED_H
