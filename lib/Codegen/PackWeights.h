#ifndef MPOPT_LIB_CODEGEN_PACKWEIGHTS_H
#define MPOPT_LIB_CODEGEN_PACKWEIGHTS_H

#include "mpopt/Codegen/Codegen.h"

namespace mpopt::codegen {

/// Rewrites every `nn.matmul` of run-time activations by a matrix that is known at load time into `nn.packed_matmul`, and packs the matrix
/// with pad, reshape and transpose.
void packWeights(mlir::func::FuncOp main, const CpuTarget &target);

} // namespace mpopt::codegen

#endif // MPOPT_LIB_CODEGEN_PACKWEIGHTS_H
