// A libcublasLt.so.12 without a GPU: products take the time of the cost model's formula for constants that a calibration
// must find again. It has no product of 8-bit integers.
#include "FakeDriver.h"
#include "cuda/CublasLt.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <type_traits>

using namespace mpopt;
using namespace mpopt::cuda;

namespace mpopt::cuda {

struct MatmulDescTag {
  ComputeType compute;
  bool transposed = false;
};

struct MatrixLayoutTag {
  DataType type;
  double rows, columns;
  int32_t batch = 1;
};

} // namespace mpopt::cuda

namespace {

bool broken() {
  const char *value = std::getenv("MPOPT_FAKE_CUDA");
  return value && std::string(value) == "broken-blas";
}

double bytesOf(DataType type) {
  switch (type) {
  case DataType::R64F:
    return 8;
  case DataType::R32F:
  case DataType::R32I:
    return 4;
  case DataType::R16F:
  case DataType::R16BF:
    return 2;
  default:
    return 1;
  }
}

double peakOf(const MatmulDescTag &desc, DataType type) {
  if (desc.compute == ComputeType::F64)
    return 1e13;
  if (desc.compute == ComputeType::F32FastTF32)
    return 5e13;
  if (type == DataType::R32F)
    return 1.5e13;
  return type == DataType::R8FE4M3 ? 2e14 : 1e14;
}

/// Seconds of a product by tiles and waves: depth costs 64 more than it is, and the tiles reach 90, 80, 60 and 40 % of
/// the peak.
double seconds(const MatmulDescTag &desc, const MatrixLayoutTag &weights, const MatrixLayoutTag &inputs,
               const MatrixLayoutTag &outputs) {
  constexpr double kTiles[][3] = {{256, 128, 0.9}, {128, 128, 0.8}, {128, 64, 0.6}, {64, 64, 0.4}};
  double m = outputs.columns, n = outputs.rows, k = inputs.rows, batch = outputs.batch;
  double arithmetic = 1e30;
  for (const double (&tile)[3] : kTiles) {
    double waves = std::ceil(batch * std::ceil(m / tile[0]) * std::ceil(n / tile[1]) / fake::kUnits);
    double flops = waves * fake::kUnits * tile[0] * tile[1] * 2 * (k + 64);
    arithmetic = std::min(arithmetic, flops / (peakOf(desc, weights.type) * tile[2]));
  }
  double bytes = 0;
  for (const MatrixLayoutTag *layout : {&weights, &inputs, &outputs})
    bytes += batch * layout->rows * layout->columns * bytesOf(layout->type);
  return std::max(arithmetic, bytes / fake::kMemoryBandwidth);
}

} // namespace

namespace mpopt::cuda {
extern "C" {

BlasStatus cublasLtCreate(BlasHandle *handle) {
  *handle = nullptr;
  return broken() ? BlasStatus(1) : kBlasSuccess;
}

BlasStatus cublasLtDestroy(BlasHandle) { return kBlasSuccess; }

BlasStatus cublasLtMatmulDescCreate(MatmulDesc *desc, ComputeType compute, DataType) {
  *desc = new MatmulDescTag{compute};
  return kBlasSuccess;
}

BlasStatus cublasLtMatmulDescDestroy(MatmulDesc desc) {
  delete desc;
  return kBlasSuccess;
}

BlasStatus cublasLtMatmulDescSetAttribute(MatmulDesc desc, MatmulDescAttribute attribute, const void *value, size_t) {
  if (attribute == MatmulDescAttribute::TransposeA)
    desc->transposed = *static_cast<const int32_t *>(value) != 0;
  return kBlasSuccess;
}

BlasStatus cublasLtMatrixLayoutCreate(MatrixLayout *layout, DataType type, uint64_t rows, uint64_t columns, int64_t) {
  *layout = new MatrixLayoutTag{type, double(rows), double(columns)};
  return kBlasSuccess;
}

BlasStatus cublasLtMatrixLayoutDestroy(MatrixLayout layout) {
  delete layout;
  return kBlasSuccess;
}

BlasStatus cublasLtMatrixLayoutSetAttribute(MatrixLayout layout, MatrixLayoutAttribute attribute, const void *value,
                                            size_t) {
  if (attribute == MatrixLayoutAttribute::BatchCount)
    std::memcpy(&layout->batch, value, sizeof layout->batch);
  return kBlasSuccess;
}

BlasStatus cublasLtMatmulPreferenceCreate(MatmulPreference *preference) {
  *preference = nullptr;
  return kBlasSuccess;
}

BlasStatus cublasLtMatmulPreferenceDestroy(MatmulPreference) { return kBlasSuccess; }

BlasStatus cublasLtMatmulPreferenceSetAttribute(MatmulPreference, MatmulPreferenceAttribute, const void *, size_t) {
  return kBlasSuccess;
}

BlasStatus cublasLtMatmulAlgoGetHeuristic(BlasHandle, MatmulDesc desc, MatrixLayout a, MatrixLayout b, MatrixLayout,
                                          MatrixLayout, MatmulPreference, int, MatmulHeuristic *results, int *found) {
  *results = {};
  *found = 1;
  double depth = desc->transposed ? a->rows : a->columns;
  return a->type == DataType::R8I || depth != b->rows ? kBlasNotSupported : kBlasSuccess;
}

BlasStatus cublasLtMatmul(BlasHandle, MatmulDesc desc, const void *, const void *, MatrixLayout aLayout, const void *,
                          MatrixLayout bLayout, const void *, const void *, MatrixLayout, void *, MatrixLayout dLayout,
                          const MatmulAlgorithm *, void *, size_t, Stream) {
  fakeCudaWork(seconds(*desc, *aLayout, *bLayout, *dLayout));
  return kBlasSuccess;
}

} // extern "C"

#define MPOPT_SAME_TYPE(symbol, parameters)                                                                            \
  static_assert(std::is_same_v<decltype(&symbol), decltype(CublasLt::symbol)>, #symbol);
MPOPT_CUBLASLT_SYMBOLS(MPOPT_SAME_TYPE)

} // namespace mpopt::cuda
