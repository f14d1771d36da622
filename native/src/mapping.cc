#include "mapping.hh"

#include <errno.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <utility>

#include "fault_guard.hh"

namespace membroker {

namespace {

constexpr long kHugetlbfsMagic = 0x958458f6;

}  // namespace

size_t PageBytes(int fd) {
  struct statfs fs;
  if (fstatfs(fd, &fs) == 0 && fs.f_type == kHugetlbfsMagic) return static_cast<size_t>(fs.f_bsize);
  return static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

int Mapping::map(int fd, uint64_t offset, uint64_t length, bool writable) {
  if (mapped()) return -EBUSY;
  if (length == 0) return -EINVAL;
  if (offset > INT64_MAX - length) return -EOVERFLOW;
  const size_t page = PageBytes(fd);
  const size_t rounded = (length + page - 1) / page * page;
  void* data = mmap(nullptr, rounded, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
                    static_cast<off_t>(offset));
  if (data == MAP_FAILED) return -errno;
  data_ = static_cast<uint8_t*>(data);
  size_ = length;
  mapped_size_ = rounded;
  return 0;
}

void Mapping::unmap() {
  if (!mapped()) return;
  munmap(std::exchange(data_, nullptr), std::exchange(mapped_size_, 0));
  size_ = 0;
}

void Mapping::replaceByAnonymous() {
  if (!mapped()) return;
  void* data = mmap(data_, mapped_size_, PROT_READ | PROT_WRITE,
                    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  // Without a replacement this still gives up the file's memory, as it promised.
  if (data == MAP_FAILED) unmap();
}

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
