#ifndef MPOPT_RUNTIME_CUDA_CUBLASLT_H
#define MPOPT_RUNTIME_CUDA_CUBLASLT_H

#include "cuda/Driver.h"

/// What of cuBLASLt (versions 11 to 13, which agree on it) is used, declared as Driver.h declares the driver; names,
/// values and layouts are those of NVIDIA's cublasLt.h, cublas_api.h and library_types.h.
namespace mpopt::cuda {

using BlasHandle = struct BlasHandleTag *;
using MatmulDesc = struct MatmulDescTag *;
using MatrixLayout = struct MatrixLayoutTag *;
using MatmulPreference = struct MatmulPreferenceTag *;

enum BlasStatus : int { kBlasSuccess = 0, kBlasInvalidValue = 7, kBlasArchMismatch = 8, kBlasNotSupported = 15 };

enum class DataType : int { R32F = 0, R64F = 1, R16F = 2, R8I = 3, R32I = 10, R16BF = 14, R8FE4M3 = 28 };

enum class ComputeType : int { F32 = 68, F64 = 70, I32 = 72, F32FastTF32 = 77 };

enum class Transpose : int { No = 0, Yes = 1 };

enum class MatmulDescAttribute : int { TransposeA = 3, TransposeB = 4, FastAccumulation = 25 };

enum class MatrixLayoutAttribute : int { BatchCount = 5, StridedBatchOffset = 6 };

enum class MatmulPreferenceAttribute : int { MaxWorkspaceBytes = 1 };

struct MatmulAlgorithm {
  uint64_t data[8];
};

struct MatmulHeuristic {
  MatmulAlgorithm algorithm;
  size_t workspaceBytes;
  BlasStatus state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(MatmulHeuristic) == 96, "as cublasLtMatmulHeuristicResult_t");

/// X(symbol, parameters); every one returns a BlasStatus. Matrices are column-major.
#define MPOPT_CUBLASLT_SYMBOLS(X)                                                                                      \
  X(cublasLtCreate, (BlasHandle * handle))                                                                             \
  X(cublasLtDestroy, (BlasHandle handle))                                                                              \
  X(cublasLtMatmulDescCreate, (MatmulDesc * desc, ComputeType compute, DataType scale))                                \
  X(cublasLtMatmulDescDestroy, (MatmulDesc desc))                                                                      \
  X(cublasLtMatmulDescSetAttribute, (MatmulDesc desc, MatmulDescAttribute attribute, const void *value, size_t bytes)) \
  X(cublasLtMatrixLayoutCreate,                                                                                        \
    (MatrixLayout * layout, DataType type, uint64_t rows, uint64_t columns, int64_t leadingDimension))                 \
  X(cublasLtMatrixLayoutDestroy, (MatrixLayout layout))                                                                \
  X(cublasLtMatrixLayoutSetAttribute,                                                                                  \
    (MatrixLayout layout, MatrixLayoutAttribute attribute, const void *value, size_t bytes))                           \
  X(cublasLtMatmulPreferenceCreate, (MatmulPreference * preference))                                                   \
  X(cublasLtMatmulPreferenceDestroy, (MatmulPreference preference))                                                    \
  X(cublasLtMatmulPreferenceSetAttribute,                                                                              \
    (MatmulPreference preference, MatmulPreferenceAttribute attribute, const void *value, size_t bytes))               \
  X(cublasLtMatmulAlgoGetHeuristic,                                                                                    \
    (BlasHandle handle, MatmulDesc desc, MatrixLayout a, MatrixLayout b, MatrixLayout c, MatrixLayout d,               \
     MatmulPreference preference, int wanted, MatmulHeuristic *results, int *found))                                   \
  X(cublasLtMatmul,                                                                                                    \
    (BlasHandle handle, MatmulDesc desc, const void *alpha, const void *a, MatrixLayout aLayout, const void *b,        \
     MatrixLayout bLayout, const void *beta, const void *c, MatrixLayout cLayout, void *d, MatrixLayout dLayout,       \
     const MatmulAlgorithm *algorithm, void *workspace, size_t workspaceBytes, Stream stream))

/// cuBLASLt's entry points; filled by loadCublasLt().
struct CublasLt {
#define MPOPT_CUBLASLT_FIELD(symbol, parameters) BlasStatus(*symbol) parameters = nullptr;
  MPOPT_CUBLASLT_SYMBOLS(MPOPT_CUBLASLT_FIELD)
#undef MPOPT_CUBLASLT_FIELD
};

} // namespace mpopt::cuda

#endif // MPOPT_RUNTIME_CUDA_CUBLASLT_H
