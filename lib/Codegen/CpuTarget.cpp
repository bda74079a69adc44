#include "mpopt/Codegen/Codegen.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"

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
