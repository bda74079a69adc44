#ifndef MPOPT_LIB_MACHINE_CUDA_PRODUCTS_H
#define MPOPT_LIB_MACHINE_CUDA_PRODUCTS_H

#include "GpuContext.h"
#include "cuda/CublasLt.h"
#include "mpopt/Machine/Gpu.h"

#include <optional>

namespace mpopt::machine {

/// Times matrix products of cuBLASLt on one GPU.
class ProductTimer {
public:
  /// Takes what the largest of `products` needs of the GPU's memory, at most nine tenths of what is free.
  static Result<std::unique_ptr<ProductTimer>> create(GpuContext &gpu, const cuda::CublasLt &blas,
                                                      const std::vector<ProductTiming> &products);
  ~ProductTimer();
  ProductTimer(const ProductTimer &) = delete;
  ProductTimer &operator=(const ProductTimer &) = delete;

  /// Seconds of one product, by the algorithm that cuBLASLt's heuristic prefers, on random values (zeros take less
  /// power and run faster) and on operands that take turns, so that the cache does not hold them. Nothing where the
  /// library has no such product on this GPU, or the memory is too small for it. Weights are the right operand; 8-bit
  /// types take it transposed, as the library demands.
  Result<std::optional<double>> seconds(const ProductTiming &product);

private:
  ProductTimer(GpuContext &gpu, const cuda::CublasLt &blas) : gpu(gpu), blas(blas) {}
  /// Random values of a type from the pool's start on.
  Status fill(DType type, size_t bytes);

  GpuContext &gpu;
  const cuda::CublasLt blas;
  cuda::BlasHandle handle = nullptr;
  cuda::DevicePointer pool = 0, workspace = 0;
  size_t poolBytes = 0;
  std::vector<uint32_t> values;
  std::optional<DType> valuesType;
};

} // namespace mpopt::machine

#endif // MPOPT_LIB_MACHINE_CUDA_PRODUCTS_H
