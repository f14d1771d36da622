#pragma once

#include <cstddef>
#include <cstdint>

#include "mapping.hh"

namespace membroker {

/** A shared mapping that it only accesses under the fault guard. Results are 0 or -errno. */
class TableMap {
 public:
  int open(int fd, uint64_t offset, uint64_t length) { return mapping_.map(fd, offset, length, true); }
  void close() { mapping_.unmap(); }

  /** Whether [offset, offset + length) is in the mapping: 0, -EBADF after close, or -ERANGE. */
  int check(uint64_t offset, uint64_t length) const;
  int read(uint64_t offset, void* bytes, size_t length) const;
  int write(uint64_t offset, const void* bytes, size_t length);
  int publish(uint64_t offset, uint64_t value);
  /** One of several stores from the same bytes: length 0 publishes the word at data. */
  int store(uint64_t offset, const uint8_t* data, size_t length);

 private:
  Mapping mapping_;
};

}  // namespace membroker
