#include "present_pages.hh"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault_guard.hh"
#include "fd.hh"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

namespace membroker {

namespace {

constexpr uint64_t kFrameBytes = 4096;
constexpr uint64_t kPresent = 1ull << 63;
constexpr uint64_t kFrameMask = (1ull << 55) - 1;

/** Until keeper closes, touching a hole of the file raises SIGBUS and takes no page from the pool. */
int KeepHoles(void* data, uint64_t length, Fd* keeper) {
  for (const int flags : {UFFD_USER_MODE_ONLY, 0}) {
    keeper->reset();
    *keeper = Fd(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | flags)));
    if (keeper->valid() || errno != EINVAL) break;
  }
  if (!keeper->valid()) return -errno;
  uffdio_api api{UFFD_API, UFFD_FEATURE_SIGBUS, 0};
  uffdio_register pages{{reinterpret_cast<uintptr_t>(data), length}, UFFDIO_REGISTER_MODE_MISSING, 0};
  if (ioctl(keeper->get(), UFFDIO_API, &api) < 0 || ioctl(keeper->get(), UFFDIO_REGISTER, &pages) < 0) return -errno;
  return 0;
}

int Look(char* data, uint64_t length, uint64_t page_bytes, WorkerArea* area) {
  Fd keeper;
  if (const int error = KeepHoles(data, length, &keeper)) return error;
  const Fd pagemap(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  if (!pagemap.valid()) return -errno;
  const auto touch = [](void* page) { static_cast<void>(*static_cast<volatile char*>(page)); };
  for (uint64_t at = 0; at < length; at += page_bytes) {
    area->step();
    uint64_t frame = 0;
    if (WithFaultGuard(data + at, page_bytes, touch, data + at) == 0) {
      uint64_t entry = 0;
      const auto index = reinterpret_cast<uintptr_t>(data + at) / kFrameBytes;
      if (pread(pagemap.get(), &entry, sizeof(entry), static_cast<off_t>(index * sizeof(entry))) != sizeof(entry))
        return -EIO;
      frame = entry & kFrameMask;
      if (!(entry & kPresent) || frame == 0) return -EPERM;
    }
    if (!area->append(&frame, sizeof(frame))) return -ENOBUFS;
  }
  return 0;
}

}  // namespace

int PresentPages(int fd, uint64_t offset, uint64_t length, uint64_t page_bytes, WorkerArea* area) {
  if (page_bytes == 0 || length % page_bytes != 0) return -EINVAL;
  void* const data =
      mmap(nullptr, length, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, static_cast<off_t>(offset));
  if (data == MAP_FAILED) return -errno;
  const int result = Look(static_cast<char*>(data), length, page_bytes, area);
  munmap(data, length);
  return result;
}

}  // namespace membroker
