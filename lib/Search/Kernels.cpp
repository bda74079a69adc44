#include "Kernels.h"

#include "mpopt/Search/Problem.h"

#include <cstring>

#if defined(__x86_64__) && defined(__ELF__)
#define MPOPT_VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define MPOPT_VECTOR_CLONES
#endif

// Rows come padded to whole vectors (see EliminationPlan.cpp) and are short, so unrolling further would only lengthen tails.
#if defined(__clang__)
#define MPOPT_VECTOR_LOOP _Pragma("clang loop vectorize_width(8) interleave_count(1)")
#else
#define MPOPT_VECTOR_LOOP
#endif

namespace mpopt::search {

MPOPT_VECTOR_CLONES void minPlus(double *__restrict out, const double *bases, const double *const *rows,
                                 size_t rowCount, size_t classes, double *__restrict scratch, int64_t n) {
  for (size_t c = 0; c < classes; ++c) {
    double base = bases[c];
    if (base == kForbidden)
      continue;
    const double *const *inputs = rows + c * rowCount;
    const double *a = inputs[0];
    if (rowCount == 1) {
      MPOPT_VECTOR_LOOP
      for (int64_t i = 0; i < n; ++i) {
        double sum = base + a[i];
        out[i] = sum < out[i] ? sum : out[i];
      }
      continue;
    }
    const double *b = inputs[1];
    if (rowCount == 2) {
      MPOPT_VECTOR_LOOP
      for (int64_t i = 0; i < n; ++i) {
        double sum = base + a[i] + b[i];
        out[i] = sum < out[i] ? sum : out[i];
      }
      continue;
    }
    MPOPT_VECTOR_LOOP
    for (int64_t i = 0; i < n; ++i)
      scratch[i] = base + a[i] + b[i];
    for (size_t r = 2; r < rowCount; ++r)
      MPOPT_VECTOR_LOOP
    for (int64_t i = 0; i < n; ++i)
      scratch[i] += inputs[r][i];
    MPOPT_VECTOR_LOOP
    for (int64_t i = 0; i < n; ++i)
      out[i] = scratch[i] < out[i] ? scratch[i] : out[i];
  }
}

MPOPT_VECTOR_CLONES void maxDifference(double *__restrict out, double first, const double *__restrict others,
                                       int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    double difference = others[i] == kForbidden ? -kForbidden : first - others[i];
    out[i] = difference > out[i] ? difference : out[i];
  }
}

namespace {
typedef double Four __attribute__((vector_size(32)));
typedef double Eight __attribute__((vector_size(64)));
} // namespace

/// The sums of one block of columns stay in registers over all classes.
template <typename Vector>
static inline __attribute__((always_inline)) void minBlock(double *out, const double *bases, const double *const *rows,
                                                           size_t rowCount, size_t classes, int64_t at) {
  Vector least = Vector{} + kForbidden;
  for (size_t c = 0; c < classes; ++c) {
    const double *const *inputs = rows + c * rowCount;
    Vector sum, more; // copied: rows need not be aligned
    std::memcpy(&sum, inputs[0] + at, sizeof(Vector));
    sum += bases[c];
    for (size_t r = 1; r < rowCount; ++r) {
      std::memcpy(&more, inputs[r] + at, sizeof(Vector));
      sum += more;
    }
    least = sum < least ? sum : least;
  }
  std::memcpy(out + at, &least, sizeof(Vector));
}

MPOPT_VECTOR_CLONES void minOfSums(double *out, const double *bases, const double *const *rows, size_t rowCount,
                                   size_t classes, int64_t n) {
  int64_t at = 0;
  for (; at + 8 <= n; at += 8)
    minBlock<Eight>(out, bases, rows, rowCount, classes, at);
  if (at < n)
    minBlock<Four>(out, bases, rows, rowCount, classes, at);
}

} // namespace mpopt::search
