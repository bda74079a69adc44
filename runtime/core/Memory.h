#ifndef MPOPT_RUNTIME_CORE_MEMORY_H
#define MPOPT_RUNTIME_CORE_MEMORY_H

#include "mpopt/Support/Result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace mpopt::runtime {

/// Pages that are returned when their owner goes.
class Mapping {
public:
  Mapping() = default;
  Mapping(Mapping &&other) noexcept;
  Mapping &operator=(Mapping &&other) noexcept;
  ~Mapping();

  /// A whole file, read-only. Errors name `what` and the path.
  static Result<Mapping> ofFile(const std::string &path, const std::string &what);
  /// Zero-filled memory that processes forked later share with this one; leaves nothing in the file system.
  static Result<Mapping> shared(uint64_t bytes);
  /// Zero-filled memory of this process alone.
  static Result<Mapping> priv(uint64_t bytes);

  /// Never null, so that no bytes can be copied from and to an empty one, too.
  std::byte *data() const { return start ? start : nowhere; }
  uint64_t size() const { return bytes; }
  std::span<const std::byte> span() const { return {data(), bytes}; }

private:
  static Result<Mapping> anonymous(uint64_t bytes, int flags);
  static std::byte nowhere[];
  std::byte *start = nullptr;
  uint64_t bytes = 0;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_MEMORY_H
