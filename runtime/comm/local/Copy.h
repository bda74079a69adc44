#ifndef MPOPT_RUNTIME_COMM_LOCAL_COPY_H
#define MPOPT_RUNTIME_COMM_LOCAL_COPY_H

#include <cstddef>
#include <cstdint>

namespace mpopt::runtime {

/// Bytes from which on a result is not worth a place in the core's caches: it would push out its own beginning, and every line of it would be
/// read before it is written.
uint64_t leastStreamedBytes();

/// As memcpy, but writes past the caches. Others see the bytes after endStream() and whatever orders memory besides.
void streamCopy(std::byte *to, const std::byte *from, uint64_t bytes);
void endStream();

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_COMM_LOCAL_COPY_H
