#include "MatmulProbe.h"

#include <cstring>
#include <memory>
#include <vector>

namespace mpopt::machine {

namespace {

/// c[Rows][Cols] = Rows rows of a (k elements each, side by side) times b panel (k x Cols), accumulated in registers: what generated kernels do.
template <int Rows, int Vectors, int Width>
[[gnu::always_inline]] inline void multiplyPanel(const float *a, const float *b, float *c, int64_t k) {
  typedef float Vector __attribute__((vector_size(Width * sizeof(float))));
  Vector sum[Rows][Vectors] = {};
  for (int64_t i = 0; i < k; ++i) {
    Vector right[Vectors];
    std::memcpy(right, b + i * Width * Vectors, sizeof right);
#pragma clang loop unroll(full)
    for (int r = 0; r < Rows; ++r)
#pragma clang loop unroll(full)
      for (int v = 0; v < Vectors; ++v)
        sum[r][v] += a[r * k + i] * right[v];
  }
  std::memcpy(c, sum, sizeof sum);
}

using PanelKernel = void (*)(const float *, const float *, float *, int64_t);

void multiplyBaseline(const float *a, const float *b, float *c, int64_t k) { multiplyPanel<6, 2, 4>(a, b, c, k); }

struct Choice {
  PanelKernel kernel;
  int64_t rows, cols, width;
};

#if defined(__x86_64__)
[[gnu::target("avx2,fma")]] void multiplyAvx2(const float *a, const float *b, float *c, int64_t k) {
  multiplyPanel<6, 2, 8>(a, b, c, k);
}
[[gnu::target("avx512f")]] void multiplyAvx512(const float *a, const float *b, float *c, int64_t k) {
  multiplyPanel<12, 2, 16>(a, b, c, k);
}
Choice choose() {
  if (__builtin_cpu_supports("avx512f"))
    return {multiplyAvx512, 12, 32, 16};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return {multiplyAvx2, 6, 16, 8};
  return {multiplyBaseline, 6, 8, 4};
}
#else
Choice choose() { return {multiplyBaseline, 6, 8, 4}; }
#endif

} // namespace

MatmulProbe probeMatmul(int64_t bytes, int64_t depth) {
  constexpr int64_t kRowPanels = 16;
  Choice choice = choose();
  int64_t rowPanel = choice.rows * depth, panel = choice.cols * depth;
  int64_t panels = std::max<int64_t>(1, bytes / (panel * int64_t(sizeof(float))));
  auto a = std::make_shared<std::vector<float>>(size_t(kRowPanels * rowPanel), 0.5f);
  auto b = std::make_shared<std::vector<float>>(size_t(panels * panel), 0.25f);
  auto c = std::make_shared<std::vector<float>>(size_t(kRowPanels * choice.rows * choice.cols));
  auto run = [=] {
    for (int64_t j = 0; j < panels; ++j)
      for (int64_t i = 0; i < kRowPanels; ++i)
        choice.kernel(a->data() + i * rowPanel, b->data() + j * panel, c->data() + i * choice.rows * choice.cols,
                      depth);
  };
  return {2.0 * double(kRowPanels * choice.rows * panels * panel),
          double(panels * panel) * sizeof(float),
          choice.rows,
          choice.cols,
          choice.width,
          run};
}

} // namespace mpopt::machine
