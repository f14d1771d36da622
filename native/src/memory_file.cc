#include "memory_file.hh"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.hh"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef STATX_ATTR_DAX
#define STATX_ATTR_DAX 0x00200000
#endif

namespace membroker {

namespace {

constexpr unsigned kHugeShift = 26;  // MFD_HUGE_SHIFT

int Allocate(int fd, int mode, uint64_t offset, uint64_t length) {
  int result;
  do result = fallocate(fd, mode, static_cast<off_t>(offset), static_cast<off_t>(length));
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 0;
}

}  // namespace

int MemfdCreate(const std::string& name, uint64_t huge_page_bytes, bool allow_sealing, bool stays_writable) {
  unsigned flags = MFD_CLOEXEC;
  if (allow_sealing) flags |= MFD_ALLOW_SEALING;
  if (huge_page_bytes != 0) {
    if (huge_page_bytes & (huge_page_bytes - 1)) return -EINVAL;
    flags |= MFD_HUGETLB | (static_cast<unsigned>(__builtin_ctzll(huge_page_bytes)) << kHugeShift);
  }
  // Without it vm.memfd_noexec=1 sets a seal with which the kernel gives the memfd back read-only after a kexec.
  Fd fd(memfd_create(name.c_str(), flags | MFD_EXEC));
  // Linux before 6.3.
  if (!fd.valid() && errno == EINVAL) fd = Fd(memfd_create(name.c_str(), flags));
  // vm.memfd_noexec=2 refuses memfds that a process could execute.
  if (!fd.valid() && errno == EACCES && !stays_writable) fd = Fd(memfd_create(name.c_str(), flags | MFD_NOEXEC_SEAL));
  if (!fd.valid()) return -errno;
  // With a wider mode a holder under another uid could reopen a read-only descriptor writable by /proc/self/fd.
  if (fchmod(fd.get(), 0600) < 0) return -errno;
  return fd.take();
}

int AddSeals(int fd, int seals) { return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0; }

int GetSeals(int fd) {
  const int seals = fcntl(fd, F_GET_SEALS);
  return seals < 0 ? -errno : seals;
}

int Reopen(int fd, bool writable) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  int opened;
  // Without O_NONBLOCK an open waits for as long as a holder's lease lasts.
  do opened = open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  while (opened < 0 && errno == EINTR);
  return opened < 0 ? -errno : opened;
}

int Fallocate(int fd, uint64_t offset, uint64_t length) { return Allocate(fd, 0, offset, length); }

int PunchHole(int fd, uint64_t offset, uint64_t length) {
  return Allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

int IsDirectAccess(const std::string& file) {
  struct statx status;
  const int flags = AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC;
  if (statx(AT_FDCWD, file.c_str(), flags, STATX_TYPE, &status) < 0) return -errno;
  return (status.stx_attributes & STATX_ATTR_DAX) != 0;
}

int IsSoleOpener(int fd) {
  // When somebody opens the file while this process has the lease, the kernel sends this process a signal. Its default,
  // SIGIO, kills; a process ignores SIGURG by default.
  const int signal_before = fcntl(fd, F_GETSIG);
  if (signal_before < 0 || fcntl(fd, F_SETSIG, SIGURG) < 0) return -errno;
  int result = 1;
  if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0) {
    result = errno == EAGAIN ? 0 : -errno;
  } else if (fcntl(fd, F_SETLEASE, F_UNLCK) < 0) {
    result = -errno;
  }
  fcntl(fd, F_SETSIG, signal_before);
  return result;
}

int OpenSole(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd.valid()) return -errno;
  const int sole = IsSoleOpener(fd.get());
  if (sole < 0) return sole;
  return sole == 1 ? fd.take() : -EAGAIN;
}

int LockFile(int fd, uint64_t offset, uint64_t length) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(offset);
  lock.l_len = static_cast<off_t>(length);
  if (fcntl(fd, F_OFD_SETLK, &lock) == 0) return 0;
  return errno == EACCES ? -EAGAIN : -errno;
}

int TakeWriteError(int fd) {
  // No file has pages there, so the call waits for none, and returns only what the description has not told yet.
  constexpr off_t kBeyondFiles = off_t{1} << 62;
  return sync_file_range(fd, kBeyondFiles, 1, SYNC_FILE_RANGE_WAIT_BEFORE) < 0 ? -errno : 0;
}

int WatchWrites(const std::string& directory) {
  Fd fd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd.valid() || inotify_add_watch(fd.get(), directory.c_str(), IN_MODIFY | IN_ONLYDIR) < 0) return -errno;
  return fd.take();
}

}  // namespace membroker
