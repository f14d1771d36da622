#include "mapped_read.hh"

#include <errno.h>
#include <string.h>

#include "fault_guard.hh"
#include "mapping.hh"

namespace membroker {

namespace {

struct Copy {
  void* to;
  const void* from;
  size_t length;
};

}  // namespace

int MappedRead(int fd, uint64_t offset, void* bytes, size_t length, uint64_t page_bytes) {
  if (page_bytes == 0 || length == 0 || offset > INT64_MAX - length - page_bytes) return -EINVAL;
  const uint64_t start = offset - offset % page_bytes;
  const uint64_t end = (offset + length + page_bytes - 1) / page_bytes * page_bytes;
  Mapping mapping;
  if (const int error = mapping.map(fd, start, end - start, false)) return error;
  Copy copy{bytes, mapping.data() + (offset - start), length};
  const auto run = [](void* argument) {
    const Copy* copy = static_cast<const Copy*>(argument);
    memcpy(copy->to, copy->from, copy->length);
  };
  return WithFaultGuard(copy.from, length, run, &copy);
}

}  // namespace membroker
