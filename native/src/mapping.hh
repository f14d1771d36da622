#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace membroker {

/** The unit in which the kernel maps and unmaps fd's pages. */
size_t PageBytes(int fd);

/** Owns one MAP_SHARED mapping. */
class Mapping {
 public:
  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { unmap(); }

  /** 0 or -errno. */
  int map(int fd, uint64_t offset, uint64_t length, bool writable);
  void unmap();
  /** Puts private zero pages in place of the file's, and keeps the address range. Without memory for that it unmaps. */
  void replaceByAnonymous();

  uint8_t* data() const { return data_; }
  /** The length that map() got; the kernel may have mapped up to a whole huge page. */
  size_t size() const { return size_; }
  bool mapped() const { return data_ != nullptr; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  size_t mapped_size_ = 0;
};

/** native/functions.ts documents it. 0 or -errno, as WithFaultGuard's. */
int MappedRead(int fd, uint64_t offset, void* bytes, size_t length, uint64_t page_bytes);

}  // namespace membroker
