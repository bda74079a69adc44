#ifndef MPOPT_TOOLS_MPOPT_RUN_TENSORS_H
#define MPOPT_TOOLS_MPOPT_RUN_TENSORS_H

#include "core/Npy.h"

#include <map>

namespace mpopt::run {

/// Reads the files of `name=file.npy` arguments given to `flag`. `ports` are the names that exist, as inputs or outputs of the plan.
Result<std::map<std::string, runtime::Tensor>>
readTensors(const std::string &flag, const std::vector<std::string> &arguments,
            const flatbuffers::Vector<flatbuffers::Offset<plan::Port>> *ports);

/// Standard normal floats; integers and booleans are 0 or 1, which are valid as ids and as masks. Depends on seed and position only.
runtime::Tensor randomTensor(const plan::Port &port, uint64_t seed, size_t position);

/// The norm of the difference over the norm of the reference; infinite when it is no number. Shapes must be equal.
double relativeError(const runtime::Tensor &found, const runtime::Tensor &reference);

/// The output's name with every character but letters, digits, '.', '_' and '-' replaced by '_', and ".npy".
std::string fileNameOf(const std::string &output);

} // namespace mpopt::run

#endif // MPOPT_TOOLS_MPOPT_RUN_TENSORS_H
