#pragma once

#include <cstddef>
#include <cstdint>

namespace membroker {

/** Copies out of memory that can only be mapped, in pages of page_bytes. 0 or -errno, as WithFaultGuard's. */
int MappedRead(int fd, uint64_t offset, void* bytes, size_t length, uint64_t page_bytes);

}  // namespace membroker
