#include "holders.hh"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>

namespace membroker {

namespace {

constexpr int kCompareFiles = 2;  // KCMP_FILES

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;
struct CloseFile {
  void operator()(FILE* file) const { fclose(file); }
};
using File = std::unique_ptr<FILE, CloseFile>;

class Search {
 public:
  Search(uint64_t device, uint64_t inode) : device_(device), inode_(inode) {}

  Holders run() {
    Holders holders;
    const int self = getpid();
    forEachNumber("/proc", [&](int pid) {
      if (pid == self) return;
      denied_ = false;
      const Holder holder = inspect(pid);
      if (holder.fds > 0 || holder.maps > 0) holders.list.push_back(holder);
      if (denied_) holders.unreadable++;
    });
    return holders;
  }

 private:
  Holder inspect(int pid) {
    const std::string process = "/proc/" + std::to_string(pid);
    Holder holder{pid, countFds(process), countMaps(process)};
    if (denied_) return holder;
    // A thread may have a descriptor table of its own, and a process whose first thread has ended shows its
    // descriptors and mappings only under the others.
    forEachNumber(process + "/task", [&](int tid) {
      if (tid == pid || sharesFiles(pid, tid)) return;
      const std::string task = process + "/task/" + std::to_string(tid);
      holder.fds = std::max(holder.fds, countFds(task));
      if (holder.maps == 0) holder.maps = countMaps(task);
    });
    return holder;
  }

  template <class Call>
  void forEachNumber(const std::string& path, Call call) {
    const Directory directory(opendir(path.c_str()));
    if (!directory) {
      note(errno);
      return;
    }
    while (const dirent* entry = readdir(directory.get())) {
      if (isdigit(static_cast<unsigned char>(entry->d_name[0]))) call(atoi(entry->d_name));
    }
  }

  int countFds(const std::string& process) {
    int count = 0;
    const std::string path = process + "/fd/";
    forEachNumber(path, [&](int fd) {
      if (isFile((path + std::to_string(fd)).c_str())) count++;
    });
    return count;
  }

  int countMaps(const std::string& process) {
    const File maps(fopen((process + "/maps").c_str(), "re"));
    if (!maps) {
      note(errno);
      return 0;
    }
    int count = 0;
    char* line = nullptr;
    size_t capacity = 0;
    errno = 0;
    while (getline(&line, &capacity, maps.get()) >= 0) {
      uint64_t begin, end, inode;
      unsigned major_number, minor_number;
      if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*x %x:%x %" SCNu64, &begin, &end, &major_number, &minor_number,
                 &inode) != 5) {
        continue;
      }
      if (inode == inode_ && isMapped(process, begin, end, makedev(major_number, minor_number))) count++;
    }
    note(errno);
    free(line);
    return count;
  }

  /** Filesystems such as btrfs show another device number in maps than in stat; map_files tells the true one. */
  bool isMapped(const std::string& process, uint64_t begin, uint64_t end, dev_t shown) {
    if (shown == device_) return true;
    char range[64];
    snprintf(range, sizeof(range), "/map_files/%" PRIx64 "-%" PRIx64, begin, end);
    return isFile((process + range).c_str());
  }

  bool isFile(const char* link) {
    // Without asking the file's server (FUSE, NFS), which may belong to the very process that is looked into and
    // never answer.
    struct statx status;
    if (statx(AT_FDCWD, link, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &status) == 0) {
      return makedev(status.stx_dev_major, status.stx_dev_minor) == device_ && status.stx_ino == inode_;
    }
    // A FUSE filesystem refuses other users, root too: the link can be read, and it is no file of ours.
    char target[1];
    if (errno == EACCES && readlink(link, target, sizeof(target)) < 0) note(errno);
    return false;
  }

  /** What has vanished holds nothing. */
  void note(int error) {
    if (error == EACCES || error == EPERM) denied_ = true;
  }

  static bool sharesFiles(int pid, int tid) { return syscall(SYS_kcmp, pid, tid, kCompareFiles, 0, 0) == 0; }

  const uint64_t device_;
  const uint64_t inode_;
  bool denied_ = false;
};

}  // namespace

Holders FindHolders(uint64_t device, uint64_t inode) { return Search(device, inode).run(); }

}  // namespace membroker
