#ifndef MPOPT_RUNTIME_CUDA_LIBRARIES_H
#define MPOPT_RUNTIME_CUDA_LIBRARIES_H

#include "cuda/CublasLt.h"
#include "cuda/Driver.h"
#include "mpopt/Support/Result.h"

#include <string>
#include <vector>

namespace mpopt::cuda {

/// Folders where CUDA's libraries are looked for, in order, after `given` (none when empty) and before the loader's own
/// path: the colon-separated ones of $MPOPT_CUDA_LIBRARIES, those where NVIDIA's Python wheels put them in the active
/// virtual environment ($VIRTUAL_ENV), and /usr/local/cuda/lib64. Only those that exist.
std::vector<std::string> libraryFolders(const std::string &given);

/// Opens the first library of `names` that a folder or else the loader's path has; it stays open until the process
/// ends. A file that is there but cannot be loaded is an error. `remedy` ends the message where none is found.
Result<void *> openLibrary(const std::vector<std::string> &names, const std::vector<std::string> &folders,
                           const std::string &remedy);

/// The driver, not yet initialised. Errors say what is missing and how to get it.
Result<Driver> loadDriver(const std::vector<std::string> &folders);

Result<CublasLt> loadCublasLt(const std::vector<std::string> &folders);

} // namespace mpopt::cuda

#endif // MPOPT_RUNTIME_CUDA_LIBRARIES_H
