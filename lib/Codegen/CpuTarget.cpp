#include "mpopt/Codegen/Codegen.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/TargetParser/Host.h"
#include <algorithm>
#include <limits>

using namespace mpopt::codegen;

CpuTarget CpuTarget::native() {
  llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  for (const char *feature : {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})
    if (!features.lookup(feature))
      return {"x86-64-v3"};
  return {"x86-64-v4"};
}

// Few rows need many independent sums to hide the latency of multiply-add; many rows want the block that uses all registers.
int64_t CpuTarget::panelWidth(int64_t rows) const {
  int64_t vectors = rows <= 2 ? 8 : rows <= 4 && hasAvx512() ? 6 : rows <= 4 ? 4 : 3;
  return vectors * vectorWidth();
}

int64_t CpuTarget::blockRows(int64_t vectors) const {
  // Sums, one row of vectors of the right matrix and one element of the left one share the registers.
  int64_t registers = hasAvx512() ? 32 : 16, rows = std::max<int64_t>(1, (registers - 1 - vectors) / vectors);
  if (hasAvx512() && vectors == 3)
    return 8; // divides common row counts, and one row less costs nothing measurable
  return std::min<int64_t>(rows, 12);
}

int64_t CpuTarget::convRows(int64_t vectors) const {
  // Sums, a vector of each column and one input.
  int64_t registers = hasAvx512() ? 32 : 16;
  return std::clamp<int64_t>((registers - 1 - vectors) / vectors, 1, 14);
}

int64_t CpuTarget::convPanelWidth(int64_t channels, int64_t length) const {
  int64_t width = vectorWidth(), all = llvm::divideCeil(channels, width);
  // Steps of one output line per unit of depth: multiply-adds, loads, and at least what hides the latency of a sum.
  auto blockCost = [&](int64_t rows, int64_t vectors) {
    constexpr int64_t latencyTimesPipes = 8;
    return std::max({rows * vectors, latencyTimesPipes, rows + vectors});
  };
  auto panelCost = [&](int64_t vectors) {
    int64_t blocks = llvm::divideCeil(length, convRows(vectors)), longer = length % blocks;
    return longer * blockCost(length / blocks + 1, vectors) + (blocks - longer) * blockCost(length / blocks, vectors);
  };
  int64_t best = 1, bestCost = std::numeric_limits<int64_t>::max();
  for (int64_t vectors = 1; vectors <= std::min(all, kMostConvVectors); ++vectors) {
    int64_t cost = all / vectors * panelCost(vectors) + (all % vectors ? panelCost(all % vectors) : 0);
    if (cost < bestCost) {
      best = vectors;
      bestCost = cost;
    }
  }
  return best * width;
}
