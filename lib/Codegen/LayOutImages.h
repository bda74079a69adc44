#ifndef MPOPT_LIB_CODEGEN_LAYOUTIMAGES_H
#define MPOPT_LIB_CODEGEN_LAYOUTIMAGES_H

#include "mpopt/Codegen/Codegen.h"

namespace mpopt::codegen {

/// Makes `nn.packed_conv`, `nn.depthwise_conv` or `nn.matmul` of every `nn.conv` and `nn.conv_transpose`, and gives pools and all that lies between channels last.
///
/// Every value computed that way has two forms, the original one being a transpose of the new one. Operators for which the order of
/// dimensions does not matter are computed in the new order; where the original form is needed, the transpose stays. Bias and
/// relu become operators of their own, which kernels take in.
void layOutImages(mlir::func::FuncOp main, const CpuTarget &target);

} // namespace mpopt::codegen

#endif // MPOPT_LIB_CODEGEN_LAYOUTIMAGES_H
