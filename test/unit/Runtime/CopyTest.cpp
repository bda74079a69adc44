#include "comm/local/Copy.h"

#include <gtest/gtest.h>
#include <vector>

namespace mpopt::runtime {
namespace {

TEST(Copy, streamedBytesAreTheSourcesAndNoOthers) {
  constexpr size_t kRoom = 1024;
  std::vector<std::byte> from(kRoom);
  for (size_t i = 0; i < kRoom; ++i)
    from[i] = static_cast<std::byte>(i * 31 + i / 256 + 1);
  for (size_t bytes : {0, 1, 31, 63, 64, 65, 127, 128, 200, 640})
    for (size_t at = 0; at < 70; at += 3) {
      std::vector<std::byte> to(kRoom), expected(kRoom);
      std::copy_n(from.begin() + 5, bytes, expected.begin() + at);
      streamCopy(to.data() + at, from.data() + 5, bytes);
      endStream();
      EXPECT_EQ(to, expected) << bytes << " bytes to " << at;
    }
}

} // namespace
} // namespace mpopt::runtime
