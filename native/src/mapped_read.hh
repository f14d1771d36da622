#pragma once

#include <cstddef>
#include <cstdint>

namespace membroker {

/** native/functions.ts documents it. 0 or -errno, as WithFaultGuard's. */
int MappedRead(int fd, uint64_t offset, void* bytes, size_t length, uint64_t page_bytes);

}  // namespace membroker
