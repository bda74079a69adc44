#ifndef MPOPT_RUNTIME_CORE_NPY_H
#define MPOPT_RUNTIME_CORE_NPY_H

#include "core/PlanAccess.h"

#include <vector>

namespace mpopt::runtime {

/// A dense row-major tensor in host memory.
struct Tensor {
  plan::DType dtype = plan::DType::f32;
  std::vector<int64_t> shape;
  std::vector<std::byte> data;
};

/// Reads a numpy file of version 1.0 to 3.0 that holds plain numbers, in any order of bytes and dimensions. bfloat16 is stored as numpy stores what it
/// does not know, as raw 2-byte items ("|V2" or "<V2"). Anything else is an error that names the file.
Result<Tensor> readNpy(const std::string &path);

/// Writes a numpy file of version 1.0, whole or not at all (a temporary file in the same folder is renamed).
Status writeNpy(const std::string &path, const Tensor &tensor);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_NPY_H
