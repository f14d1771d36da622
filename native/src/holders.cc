#include "holders.hh"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>

#include "fd.hh"

namespace membroker {

namespace {

constexpr int kCompareFiles = 2;  // KCMP_FILES
constexpr const char* kDevices[] = {"/dev/vfio/", "/dev/iommu", "/dev/infiniband/", "/dev/sev", "/dev/vhost-vdpa"};

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;
struct CloseFile {
  void operator()(FILE* file) const { fclose(file); }
};
using File = std::unique_ptr<FILE, CloseFile>;

bool IsGone(int error) { return error == ENOENT || error == ESRCH; }

dev_t DeviceOf(const struct statx& status) { return makedev(status.stx_dev_major, status.stx_dev_minor); }

/** The device number that the kernel gives descriptors that are no files: io_uring, VFIO and many more. */
dev_t AnonymousDevice() {
  const Fd fd(epoll_create1(EPOLL_CLOEXEC));
  struct stat status;
  return fd.valid() && fstat(fd.get(), &status) == 0 ? status.st_dev : 0;
}

class Search {
 public:
  Search(const HolderQuestion& question, WorkerArea* area)
      : question_(question), area_(area), anonymous_(AnonymousDevice()) {}

  uint32_t run() {
    for (const uint32_t pid : question_.first) {
      if (!look(pid)) return pid;
    }
    return question_.from == HolderQuestion::kNone ? 0 : lookAtOthers();
  }

 private:
  uint32_t lookAtOthers() {
    std::vector<uint32_t> known = question_.first;
    known.insert(known.end(), question_.skip.begin(), question_.skip.end());
    std::sort(known.begin(), known.end());
    uint32_t full = 0;
    record_ = {};
    // The kernel lists processes in the order of their numbers.
    forEachNumber("/proc", [&](int number) {
      const uint32_t pid = static_cast<uint32_t>(number);
      if (full != 0 || pid < question_.from || std::binary_search(known.begin(), known.end(), pid)) return;
      if (!look(pid)) full = pid;
    });
    // Without the list it saw nobody, and says so by a record of process 0.
    if (record_.pid == 0 && record_.flags != 0) area_->append(&record_, sizeof(record_));
    return full;
  }

  bool look(uint32_t pid) {
    area_->enter(pid);
    const HolderRecord outer = record_;
    record_ = {pid, 0, 0, 0};
    inspect(static_cast<int>(pid));
    const bool fits =
        (record_.fds == 0 && record_.maps == 0 && record_.flags == 0) || area_->append(&record_, sizeof(record_));
    record_ = outer;
    return fits;
  }

  void inspect(int pid) {
    const std::string process = "/proc/" + std::to_string(pid);
    record_.fds = countFds(process);
    record_.maps = countMaps(process);
    if (record_.flags & HolderRecord::kUnseen) return;
    // A thread may have a descriptor table of its own, and a process whose first thread has ended shows its
    // descriptors and mappings only under the others.
    forEachNumber(process + "/task", [&](int tid) {
      if (tid == pid || sharesFiles(pid, tid)) return;
      const std::string task = process + "/task/" + std::to_string(tid);
      record_.fds = std::max(record_.fds, countFds(task));
      if (record_.maps == 0) record_.maps = countMaps(task);
    });
  }

  template <class Call>
  void forEachNumber(const std::string& path, Call call) {
    const Directory directory(opendir(path.c_str()));
    if (!directory) {
      note(errno);
      return;
    }
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(directory.get());
      if (!entry) {
        note(errno);
        return;
      }
      if (isdigit(static_cast<unsigned char>(entry->d_name[0]))) call(atoi(entry->d_name));
    }
  }

  uint32_t countFds(const std::string& process) {
    uint32_t count = 0;
    const std::string path = process + "/fd/";
    forEachNumber(path, [&](int fd) {
      if (isFile(path + std::to_string(fd), process, fd)) count++;
    });
    return count;
  }

  uint32_t countMaps(const std::string& process) {
    const File maps(fopen((process + "/maps").c_str(), "re"));
    if (!maps) {
      note(errno);
      return 0;
    }
    uint32_t count = 0;
    char* line = nullptr;
    size_t capacity = 0;
    errno = 0;
    while (getline(&line, &capacity, maps.get()) >= 0) {
      area_->step();
      uint64_t begin, end, offset, inode;
      unsigned major_number, minor_number;
      if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %x:%x %" SCNu64, &begin, &end, &offset, &major_number,
                 &minor_number, &inode) != 6) {
        continue;
      }
      if (inode == question_.inode && isOfParts(offset, end - begin) &&
          isMapped(process, begin, end, makedev(major_number, minor_number))) {
        count++;
      }
    }
    note(errno);
    free(line);
    return count;
  }

  bool isOfParts(uint64_t offset, uint64_t length) const {
    if (question_.parts.empty()) return true;
    return std::any_of(question_.parts.begin(), question_.parts.end(), [=](const FilePart& part) {
      return offset < part.offset + part.length && part.offset < offset + length;
    });
  }

  /** Filesystems such as btrfs show another device number in maps than in stat; map_files has the true one. */
  bool isMapped(const std::string& process, uint64_t begin, uint64_t end, dev_t shown) {
    if (shown == question_.device) return true;
    char range[64];
    snprintf(range, sizeof(range), "/map_files/%" PRIx64 "-%" PRIx64, begin, end);
    return isFile(process + range, process, -1);
  }

  /** fd: the descriptor that the link stands for; -1: it stands for a mapping. */
  bool isFile(const std::string& link, const std::string& process, int fd) {
    area_->step();
    // AT_STATX_DONT_SYNC keeps the kernel from asking the file's server (FUSE, NFS), which may belong to the very
    // process that this looks into and never answer.
    struct statx status;
    if (statx(AT_FDCWD, link.c_str(), AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO | STATX_TYPE, &status) == 0) {
      const dev_t device = DeviceOf(status);
      if (device == question_.device && status.stx_ino == question_.inode) return true;
      if (fd >= 0 && (device == anonymous_ || S_ISCHR(status.stx_mode))) noteReach(link, process, fd);
      return false;
    }
    const int error = errno;
    // A FUSE filesystem refuses other users, root too, and a server that is gone answers nobody. Where the kernel still
    // shows the link, it is no file of ours.
    char target[1];
    const bool shown = error != ENOMEM && !IsGone(error) && readlink(link.c_str(), target, sizeof(target)) >= 0;
    if (!shown) note(error);
    return false;
  }

  /** Notes a descriptor by which a process reaches memory that neither its descriptors nor its mappings show. */
  void noteReach(const std::string& link, const std::string& process, int fd) {
    char target[64];
    const ssize_t length = readlink(link.c_str(), target, sizeof(target) - 1);
    if (length < 0) return note(errno);
    target[length] = '\0';
    if (strcmp(target, "anon_inode:[io_uring]") == 0) {
      if (!isEmptyRing(process + "/fdinfo/" + std::to_string(fd))) record_.flags |= HolderRecord::kRing;
      return;
    }
    const bool device = std::any_of(std::begin(kDevices), std::end(kDevices),
                                    [&](const char* name) { return strncmp(target, name, strlen(name)) == 0; });
    const bool anonymous = strncmp(target, "anon_inode:", 11) == 0 && (strstr(target, "vfio") || strstr(target, "iommu"));
    if (device || anonymous) record_.flags |= HolderRecord::kDevice;
  }

  /** While nobody works on a ring, the kernel shows how many files and buffers are registered with it. */
  bool isEmptyRing(const std::string& information) {
    const File file(fopen(information.c_str(), "re"));
    if (!file) return IsGone(errno);
    unsigned files = 1, buffers = 1;
    char* line = nullptr;
    size_t capacity = 0;
    while (getline(&line, &capacity, file.get()) >= 0) {
      sscanf(line, "UserFiles: %u", &files);
      sscanf(line, "UserBufs: %u", &buffers);
    }
    free(line);
    return files == 0 && buffers == 0;
  }

  /** A process that has vanished holds nothing. After any other error something was not seen. */
  void note(int error) {
    if (error != 0 && !IsGone(error)) record_.flags |= HolderRecord::kUnseen;
  }

  static bool sharesFiles(int pid, int tid) { return syscall(SYS_kcmp, pid, tid, kCompareFiles, 0, 0) == 0; }

  const HolderQuestion& question_;
  WorkerArea* const area_;
  const dev_t anonymous_;
  HolderRecord record_{};
};

}  // namespace

uint32_t FindHolders(const HolderQuestion& question, WorkerArea* area) { return Search(question, area).run(); }

}  // namespace membroker
