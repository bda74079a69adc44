#ifndef MPOPT_LIB_CODEGEN_MATHF64_H
#define MPOPT_LIB_CODEGEN_MATHF64_H

#include "Emitter.h"

namespace mpopt::codegen::f64 {

/// Functions of doubles (scalars or vectors) as straight code without calls, to about 1e-15 relative; MLIR's own approximations are for
/// f32 only. Sine and cosine are accurate to 1e-15 absolute for |x| < 1e5.
mlir::Value exp(Emitter &e, mlir::Value x);
mlir::Value log(Emitter &e, mlir::Value x);
mlir::Value tanh(Emitter &e, mlir::Value x);
mlir::Value erf(Emitter &e, mlir::Value x);
mlir::Value sin(Emitter &e, mlir::Value x);
mlir::Value cos(Emitter &e, mlir::Value x);

} // namespace mpopt::codegen::f64

#endif // MPOPT_LIB_CODEGEN_MATHF64_H
