#include "mount.hh"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fd.hh"

// Linux 5.2, and 5.12 for mount_setattr; the C library may be older than the kernel.
#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

namespace membroker {

namespace {

constexpr unsigned kOpenTreeClone = 1;
constexpr unsigned kMoveFromEmptyPath = 4;
constexpr unsigned kMoveToEmptyPath = 0x40;
constexpr uint64_t kAttributeReadOnly = 1;

/** struct mount_attr of the kernel. */
struct MountAttributes {
  uint64_t set;
  uint64_t clear;
  uint64_t propagation;
  uint64_t userns_fd;
};

constexpr size_t kPageBytes = 4096;

int MakePrivate(const std::string& path) {
  if (mount(nullptr, path.c_str(), nullptr, MS_PRIVATE, nullptr) == 0) return 0;
  const int error = errno;
  umount2(path.c_str(), MNT_DETACH);
  return -error;
}

}  // namespace

int MountPrivate(const std::string& path) {
  if (mount("membroker", path.c_str(), "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0700,size=64k") < 0) return -errno;
  return MakePrivate(path);
}

int MountNode(const std::string& path, const std::string& name, uint64_t device, uint32_t uid) {
  if (mkdir(path.c_str(), 0700) < 0) return -errno;
  int error = MountPrivate(path);
  if (error == 0) {
    const std::string node = path + "/" + name;
    error = MakeNode(node, device);
    if (error == 0 && uid != 0 && lchown(node.c_str(), uid, 0) < 0) error = -errno;
    if (error != 0) Unmount(path, true);
  }
  if (error != 0) rmdir(path.c_str());
  return error;
}

int BindPrivate(const std::string& file, const std::string& path) {
  if (mount(file.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) < 0) return -errno;
  return MakePrivate(path);
}

int UnshareMounts() {
  if (unshare(CLONE_NEWNS) < 0) return -errno;
  return mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0 ? -errno : 0;
}

int BindFile(int file, int place, bool writable) {
  const Fd tree(static_cast<int>(syscall(SYS_open_tree, file, "", AT_EMPTY_PATH | O_CLOEXEC | kOpenTreeClone)));
  if (!tree.valid()) return -errno;
  const MountAttributes attributes{writable ? 0 : kAttributeReadOnly, 0, MS_PRIVATE, 0};
  if (syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) return -errno;
  const unsigned flags = kMoveFromEmptyPath | kMoveToEmptyPath;
  return syscall(SYS_move_mount, tree.get(), "", place, "", flags) < 0 ? -errno : 0;
}

int IsMountIdle(const std::string& path) {
  // MNT_EXPIRE marks a mount that nobody uses (EAGAIN), and unmounts it only when it was marked already and nobody has
  // looked at it since. The stat below takes the mark away again.
  if (umount2(path.c_str(), MNT_EXPIRE | UMOUNT_NOFOLLOW) == 0) return -ENOENT;
  if (errno == EBUSY) return 0;
  if (errno != EAGAIN) return -errno;
  struct stat looked;
  return stat(path.c_str(), &looked) < 0 ? -errno : 1;
}

int Unmount(const std::string& path, bool detach) {
  return umount2(path.c_str(), UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0)) < 0 ? -errno : 0;
}

int MakeNode(const std::string& path, uint64_t device) {
  return mknod(path.c_str(), S_IFCHR | 0600, static_cast<dev_t>(device)) < 0 ? -errno : 0;
}

int SpliceToPipe(int fd, uint64_t offset, uint64_t map_bytes) {
  if (map_bytes < kPageBytes) return -EINVAL;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
  Fd reader(ends[0]);
  const Fd writer(ends[1]);
  void* const data = mmap(nullptr, map_bytes, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (data == MAP_FAILED) return -errno;
  // This takes the last page, because the kernel knows a large page by its first one.
  struct iovec page{static_cast<char*>(data) + map_bytes - kPageBytes, kPageBytes};
  const ssize_t spliced = vmsplice(writer.get(), &page, 1, 0);
  const int error = spliced < 0 ? errno : EIO;
  munmap(data, map_bytes);
  return spliced == static_cast<ssize_t>(kPageBytes) ? reader.take() : -error;
}

}  // namespace membroker
