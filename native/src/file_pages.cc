#include "file_pages.hh"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>

#include "fd.hh"

namespace membroker {

namespace {

constexpr off_t kPieceBytes = off_t{4} << 20;

/** Calls visit(offset, bytes) for the file's data, page by page, in pieces. 0, -errno, or what visit returned first. */
template <typename Visit>
int OverData(int file, Visit visit) {
  const off_t page = sysconf(_SC_PAGESIZE);
  for (off_t at = 0;;) {
    const off_t data = lseek(file, at, SEEK_DATA);
    if (data < 0) return errno == ENXIO ? 0 : -errno;
    const off_t hole = lseek(file, data, SEEK_HOLE);
    if (hole < 0) return -errno;
    const off_t begin = data / page * page;
    at = std::min((hole + page - 1) / page * page, begin + kPieceBytes);
    if (const int error = visit(begin, static_cast<size_t>(at - begin))) return error;
  }
}

/** A locked instruction is a store for the kernel, even of what is there already; and it loses no store of another process. */
void Touch(uint8_t* at) {
  uint8_t value = __atomic_load_n(at, __ATOMIC_RELAXED);
  __atomic_compare_exchange_n(at, &value, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/** 0 or -errno; fewer bytes are an error too. */
int ReadAll(int file, void* bytes, size_t length, off_t offset) {
  const ssize_t count = pread(file, bytes, length, offset);
  if (count < 0) return -errno;
  return static_cast<size_t>(count) == length ? 0 : -EIO;
}

}  // namespace

int RewritePages(const char* path) {
  const Fd file(open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) return -errno;
  // Failures of before, which the kernel has not told of yet, would count against what follows.
  fdatasync(file.get());
  return OverData(file.get(), [&file](off_t offset, size_t length) {
    void* data = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), offset);
    if (data == MAP_FAILED) return -errno;
    for (size_t at = 0; at < length; at += static_cast<size_t>(sysconf(_SC_PAGESIZE)))
      Touch(static_cast<uint8_t*>(data) + at);
    munmap(data, length);
    return 0;
  });
}

int ComparePages(const char* path) {
  const Fd file(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) return -errno;
  const Fd disk(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_DIRECT));
  if (!disk.valid()) return -errno;
  const auto allocate = [] { return static_cast<uint8_t*>(aligned_alloc(size_t{1} << 16, kPieceBytes)); };
  const std::unique_ptr<uint8_t, decltype(&free)> cached(allocate(), &free);
  const std::unique_ptr<uint8_t, decltype(&free)> stored(allocate(), &free);
  if (!cached || !stored) return -ENOMEM;
  return OverData(file.get(), [&](off_t offset, size_t length) {
    if (const int error = ReadAll(file.get(), cached.get(), length, offset)) return error;
    if (const int error = ReadAll(disk.get(), stored.get(), length, offset)) return error;
    return memcmp(cached.get(), stored.get(), length) == 0 ? 0 : -EIO;
  });
}

}  // namespace membroker
