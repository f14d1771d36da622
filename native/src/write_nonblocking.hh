#pragma once

#include <cstddef>
#include <cstdint>

namespace membroker {

/**
 * Writes to a descriptor that may be a blocking one, which others may share, what it takes without waiting: at most
 * 4 KiB. Bytes written, or -errno; -EAGAIN when it takes nothing.
 */
int WriteNonblocking(int fd, const uint8_t* bytes, size_t size);

}  // namespace membroker
