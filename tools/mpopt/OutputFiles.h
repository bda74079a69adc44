#ifndef MPOPT_TOOLS_MPOPT_OUTPUTFILES_H
#define MPOPT_TOOLS_MPOPT_OUTPUTFILES_H

#include "format/OutputFile.h"
#include <optional>
#include <string>
#include <vector>

namespace mpopt {

/// The file that a flag asks for, opened before the work begins; nothing when `path` is empty. It must be none of `taken`.
Result<std::optional<runtime::OutputFile>> openOutput(const std::string &path, const std::string &flag,
                                                      const std::vector<std::string> &taken);

/// Writes it; the exit code. The error is printed.
int finishOutput(runtime::OutputFile &file, const std::string &text, const std::string &flag);

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_OUTPUTFILES_H
