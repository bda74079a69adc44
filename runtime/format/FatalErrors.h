#ifndef MPOPT_RUNTIME_FORMAT_FATALERRORS_H
#define MPOPT_RUNTIME_FORMAT_FATALERRORS_H

namespace mpopt::runtime {

/// From now on a mapped file that somebody cuts short ends the process with one line on stderr ("TOOL: error: ..."), exit code 1, and
/// without temporary files, instead of a crash. `tool` is a literal.
void reportFatalErrors(const char *tool);

/// From now on a bad access while memory is used up ends the process as failOutOfMemory does: MLIR does not look at what malloc returns. Any other
/// crashes as ever.
void reportBadAccessWithoutMemory();

/// Ends the process in that way because memory has run out. Allocates nothing.
[[noreturn]] void failOutOfMemory();

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_FORMAT_FATALERRORS_H
