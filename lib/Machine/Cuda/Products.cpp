#include "Products.h"

#include <algorithm>
#include <cstring>

namespace mpopt::machine {

using cuda::ComputeType;
using cuda::DataType;
using cuda::DevicePointer;

namespace {

constexpr size_t kWorkspace = 32 << 20; // What NVIDIA recommends for Hopper.
constexpr size_t kAlignment = 256;

/// How cuBLASLt is asked for a product of an element type.
struct Form {
  DataType operand, result, scale;
  ComputeType compute;
  bool transposed; ///< The left matrix of the column-major call.
  size_t resultBytes;
};

std::optional<Form> formOf(const ProductTiming &product) {
  switch (product.type) {
  case DType::F64:
    return Form{DataType::R64F, DataType::R64F, DataType::R64F, ComputeType::F64, false, 8};
  case DType::F32:
    return Form{DataType::R32F, DataType::R32F,
                DataType::R32F, product.exact ? ComputeType::F32 : ComputeType::F32FastTF32,
                false,          4};
  case DType::F16:
    return Form{DataType::R16F, DataType::R16F, DataType::R32F, ComputeType::F32, false, 2};
  case DType::BF16:
    return Form{DataType::R16BF, DataType::R16BF, DataType::R32F, ComputeType::F32, false, 2};
  case DType::F8:
    return Form{DataType::R8FE4M3, DataType::R16BF, DataType::R32F, ComputeType::F32, true, 2};
  case DType::I8:
    return Form{DataType::R8I, DataType::R32I, DataType::R32I, ComputeType::I32, true, 4};
  default:
    return std::nullopt;
  }
}

/// Bytes of the operands and the result of one product, each from an aligned address on.
struct Layout {
  size_t left, right, result;
  size_t total() const { return left + right + result; }
};

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

Layout layoutOf(const ProductTiming &p, const Form &form) {
  size_t size = size_t(bytesOf(p.type)), batch = size_t(p.batch);
  return {aligned(batch * size_t(p.m) * size_t(p.k) * size), aligned(batch * size_t(p.k) * size_t(p.n) * size),
          aligned(batch * size_t(p.m) * size_t(p.n) * form.resultBytes)};
}

/// The descriptors of one call. Row-major C = A B is column-major C^T = B^T A^T, so the weights come first.
struct Call {
  explicit Call(const cuda::CublasLt &blas) : blas(blas) {}
  ~Call() {
    for (cuda::MatrixLayout layout : {weights, inputs, outputs})
      if (layout)
        blas.cublasLtMatrixLayoutDestroy(layout);
    if (preference)
      blas.cublasLtMatmulPreferenceDestroy(preference);
    if (desc)
      blas.cublasLtMatmulDescDestroy(desc);
  }
  Call(const Call &) = delete;

  /// Whether the library has such a product.
  bool describe(cuda::BlasHandle handle, const ProductTiming &p, const Form &form);

  const cuda::CublasLt &blas;
  cuda::MatmulDesc desc = nullptr;
  cuda::MatrixLayout weights = nullptr, inputs = nullptr, outputs = nullptr;
  cuda::MatmulPreference preference = nullptr;
  cuda::MatmulHeuristic heuristic{};

private:
  bool describeBatch(const ProductTiming &p);
};

bool Call::describeBatch(const ProductTiming &p) {
  int32_t batch = int32_t(p.batch);
  const std::pair<cuda::MatrixLayout, int64_t> strides[] = {
      {weights, p.k * p.n}, {inputs, p.m * p.k}, {outputs, p.m * p.n}};
  for (auto [layout, stride] : strides)
    if (blas.cublasLtMatrixLayoutSetAttribute(layout, cuda::MatrixLayoutAttribute::BatchCount, &batch, sizeof batch) ||
        blas.cublasLtMatrixLayoutSetAttribute(layout, cuda::MatrixLayoutAttribute::StridedBatchOffset, &stride,
                                              sizeof stride))
      return false;
  return true;
}

bool Call::describe(cuda::BlasHandle handle, const ProductTiming &p, const Form &form) {
  auto m = uint64_t(p.m), n = uint64_t(p.n), k = uint64_t(p.k);
  if (blas.cublasLtMatmulDescCreate(&desc, form.compute, form.scale) ||
      (form.transposed ? blas.cublasLtMatrixLayoutCreate(&weights, form.operand, k, n, p.k)
                       : blas.cublasLtMatrixLayoutCreate(&weights, form.operand, n, k, p.n)) ||
      blas.cublasLtMatrixLayoutCreate(&inputs, form.operand, k, m, p.k) ||
      blas.cublasLtMatrixLayoutCreate(&outputs, form.result, n, m, p.n) ||
      blas.cublasLtMatmulPreferenceCreate(&preference))
    return false;
  auto transpose = int32_t(form.transposed);
  if (blas.cublasLtMatmulDescSetAttribute(desc, cuda::MatmulDescAttribute::TransposeA, &transpose, sizeof transpose))
    return false;
  int8_t fast = 1;
  if (p.type == DType::F8 &&
      blas.cublasLtMatmulDescSetAttribute(desc, cuda::MatmulDescAttribute::FastAccumulation, &fast, sizeof fast))
    return false;
  uint64_t bytes = kWorkspace;
  if ((p.batch > 1 && !describeBatch(p)) ||
      blas.cublasLtMatmulPreferenceSetAttribute(preference, cuda::MatmulPreferenceAttribute::MaxWorkspaceBytes, &bytes,
                                                sizeof bytes))
    return false;
  int found = 0;
  return !blas.cublasLtMatmulAlgoGetHeuristic(handle, desc, weights, inputs, outputs, outputs, preference, 1,
                                              &heuristic, &found) &&
         found > 0 && heuristic.state == cuda::kBlasSuccess;
}

/// Random values of a floating type, signs and mantissas random, exponents in the four octaves below 1; `mantissa` and
/// `exponent` are widths in bits.
uint64_t randomFloat(uint64_t random, int mantissa, int exponent) {
  uint64_t bias = (uint64_t(1) << (exponent - 1)) - 1;
  uint64_t value = random & ((uint64_t(1) << mantissa) - 1);
  value |= (bias - 1 - ((random >> 52) & 3)) << mantissa;
  return value | ((random >> 63) << (mantissa + exponent));
}

/// One element of `type` in the low bits of the result.
uint64_t randomElement(uint64_t random, DType type) {
  switch (type) {
  case DType::F64:
    return randomFloat(random, 52, 11);
  case DType::F32:
    return randomFloat(random, 23, 8);
  case DType::F16:
    return randomFloat(random, 10, 5);
  case DType::BF16:
    return randomFloat(random, 7, 8);
  case DType::F8:
    return randomFloat(random, 3, 4);
  default:
    return random >> 40 & 0xff;
  }
}

std::vector<uint32_t> randomValues(DType type, size_t bytes) {
  std::vector<uint32_t> words(bytes / 4);
  auto size = size_t(bytesOf(type));
  auto *data = reinterpret_cast<char *>(words.data());
  uint64_t state = 1;
  for (size_t i = 0; i + size <= bytes; i += size) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    uint64_t element = randomElement(state ^ state >> 29, type);
    std::memcpy(data + i, &element, size); // The low bytes come first on every host of an NVIDIA GPU.
  }
  return words;
}

} // namespace

Result<std::unique_ptr<ProductTimer>> ProductTimer::create(GpuContext &gpu, const cuda::CublasLt &blas,
                                                           const std::vector<ProductTiming> &products) {
  std::unique_ptr<ProductTimer> timer(new ProductTimer(gpu, blas));
  if (cuda::BlasStatus status = blas.cublasLtCreate(&timer->handle))
    return error("cuBLASLt does not start on GPU " + gpu.facts.name + " (status " + std::to_string(int(status)) +
                 "); install a cuBLAS that fits the driver");
  size_t largest = 0;
  for (const ProductTiming &product : products)
    if (auto form = formOf(product))
      largest = std::max(largest, layoutOf(product, *form).total());
  Result<DevicePointer> workspace = gpu.allocate(kWorkspace);
  if (!workspace)
    return tl::make_unexpected(workspace.error());
  Result<size_t> free = gpu.freeBytes();
  if (!free)
    return tl::make_unexpected(free.error());
  // Operands that take turns want several times the cache.
  timer->poolBytes = std::min(std::max(largest, 4 * size_t(gpu.facts.cacheBytes)), *free / 10 * 9);
  Result<DevicePointer> pool = gpu.allocate(timer->poolBytes);
  if (!pool)
    return tl::make_unexpected(pool.error());
  timer->workspace = *workspace;
  timer->pool = *pool;
  return timer;
}

ProductTimer::~ProductTimer() {
  if (handle)
    blas.cublasLtDestroy(handle);
}

Status ProductTimer::fill(DType type, size_t bytes) {
  if (valuesType != type)
    values = randomValues(type, 8 << 20);
  valuesType = type;
  return gpu.fill(pool, bytes, values);
}

Result<std::optional<double>> ProductTimer::seconds(const ProductTiming &product) {
  auto form = formOf(product);
  if (!form)
    return std::nullopt;
  Layout layout = layoutOf(product, *form);
  Call call(blas);
  if (layout.total() > poolBytes || !call.describe(handle, product, *form))
    return std::nullopt;
  // As many sets of operands as it takes to come back to the first only after four caches' worth.
  size_t wanted = 4 * size_t(gpu.facts.cacheBytes) / layout.total() + 1;
  auto sets = int64_t(std::clamp<size_t>(poolBytes / layout.total(), 1, wanted));
  // Results of the product before must not serve as operands: they grow.
  if (Status status = fill(product.type, size_t(sets) * layout.total()); !status)
    return tl::make_unexpected(status.error());
  const double one64 = 1, zero64 = 0;
  const float one32 = 1, zero32 = 0;
  const int32_t oneInt = 1, zeroInt = 0;
  bool wide = form->scale == DataType::R64F, whole = form->scale == DataType::R32I;
  const void *alpha = wide ? static_cast<const void *>(&one64) : whole ? static_cast<const void *>(&oneInt) : &one32;
  const void *beta = wide ? static_cast<const void *>(&zero64) : whole ? static_cast<const void *>(&zeroInt) : &zero32;
  auto pointer = [](DevicePointer address) { return reinterpret_cast<void *>(address); };
  auto run = [&](int64_t i) -> Status {
    DevicePointer base = pool + size_t(i % sets) * layout.total();
    void *result = pointer(base + layout.left + layout.right);
    cuda::BlasStatus status = blas.cublasLtMatmul(
        handle, call.desc, alpha, pointer(base + layout.left), call.weights, pointer(base), call.inputs, beta, result,
        call.outputs, result, call.outputs, &call.heuristic.algorithm, pointer(workspace), kWorkspace, gpu.stream);
    if (status == cuda::kBlasSuccess)
      return {};
    return error("cublasLtMatmul failed with status " + std::to_string(int(status)) + " on " +
                 toCsv({product}).substr(toCsv({}).size()));
  };
  Result<double> seconds = gpu.seconds(run);
  if (!seconds)
    return tl::make_unexpected(seconds.error());
  return std::optional(*seconds);
}

} // namespace mpopt::machine
