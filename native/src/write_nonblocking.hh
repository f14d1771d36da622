#pragma once

#include <cstddef>
#include <cstdint>

namespace membroker {

/** native/functions.ts documents it. Bytes written or -errno: -EAGAIN when the descriptor takes nothing. */
int WriteNonblocking(int fd, const uint8_t* bytes, size_t size);

}  // namespace membroker
