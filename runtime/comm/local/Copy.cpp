// Compiled for the instruction set that every CPU plan needs at least (see CMakeLists.txt).
#include "comm/local/Copy.h"

#include <algorithm>
#include <cstring>
#include <unistd.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace mpopt::runtime {

uint64_t leastStreamedBytes() {
  // Of the third level a rank has an unknown share, little on a host that others use, too.
  constexpr long kUsual = 1 << 20;
  static const auto bytes = static_cast<uint64_t>(2 * std::max(kUsual, sysconf(_SC_LEVEL2_CACHE_SIZE)));
  return bytes;
}

#ifdef __AVX2__
void streamCopy(std::byte *to, const std::byte *from, uint64_t bytes) {
  constexpr uint64_t kVector = 32, kLine = 64;
  uint64_t head = std::min(bytes, (kLine - reinterpret_cast<uintptr_t>(to) % kLine) % kLine);
  std::memcpy(to, from, head);
  uint64_t end = head + (bytes - head) / kLine * kLine;
  for (uint64_t i = head; i < end; i += kLine) {
    __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from + i));
    __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from + i + kVector));
    _mm256_stream_si256(reinterpret_cast<__m256i *>(to + i), low);
    _mm256_stream_si256(reinterpret_cast<__m256i *>(to + i + kVector), high);
  }
  std::memcpy(to + end, from + end, bytes - end);
}
void endStream() { _mm_sfence(); }
#else
void streamCopy(std::byte *to, const std::byte *from, uint64_t bytes) { std::memcpy(to, from, bytes); }
void endStream() {}
#endif

} // namespace mpopt::runtime
