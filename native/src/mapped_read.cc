#include "mapped_read.hh"

#include <errno.h>

#include "fault_guard.hh"
#include "mapping.hh"

namespace membroker {

int MappedRead(int fd, uint64_t offset, void* bytes, size_t length, uint64_t page_bytes) {
  if (page_bytes == 0 || length == 0 || offset > INT64_MAX - length - page_bytes) return -EINVAL;
  const uint64_t start = offset - offset % page_bytes;
  const uint64_t end = (offset + length + page_bytes - 1) / page_bytes * page_bytes;
  Mapping mapping;
  if (const int error = mapping.map(fd, start, end - start, false)) return error;
  const uint8_t* from = mapping.data() + (offset - start);
  return GuardedCopy(from, bytes, from, length);
}

}  // namespace membroker
