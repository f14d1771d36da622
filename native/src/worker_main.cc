// The worker: a process of the broker's for system calls that others can prolong. Its broker gives it one job after
// another and may kill it in any of them. src/broker/worker is its other end.
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "holders.hh"
#include "live_update.hh"
#include "present_pages.hh"
#include "unix_socket.hh"
#include "worker_area.hh"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

namespace membroker {

namespace {

// Where SpawnWorker puts them.
constexpr int kSocket = 3;
constexpr int kArea = 4;
constexpr uint32_t kRequestBytesMax = 1 << 20;
// Of a row.
constexpr int32_t kNotBegun = 1;

enum Kind : uint32_t {
  kHolders = 1, kCommands, kChmod, kChown, kTruncate, kAllocate, kPunchHoles, kStrip, kPages, kPreserve, kSync, kPopulate, kClose
};

/** Takes a request apart. A field beyond its end is zero and makes the request bad. */
class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {}

  template <class Value>
  Value take() {
    Value value{};
    if (at_ + sizeof(Value) > bytes_.size()) {
      good_ = false;
      return value;
    }
    memcpy(&value, bytes_.data() + at_, sizeof(Value));
    at_ += sizeof(Value);
    return value;
  }
  template <class Value>
  std::vector<Value> list() {
    const uint32_t count = take<uint32_t>();
    std::vector<Value> values;
    for (uint32_t index = 0; index < count && good_; index++) values.push_back(take<Value>());
    return values;
  }
  bool good() const { return good_; }

 private:
  const std::string& bytes_;
  size_t at_ = 0;
  bool good_ = true;
};

int32_t Holders(Reader& request, WorkerArea* area) {
  HolderQuestion question;
  question.device = request.take<uint64_t>();
  question.inode = request.take<uint64_t>();
  question.parts = request.list<FilePart>();
  question.first = request.list<uint32_t>();
  question.from = request.take<uint32_t>();
  question.skip = request.list<uint32_t>();
  return request.good() ? static_cast<int32_t>(FindHolders(question, area)) : -EBADMSG;
}

/** Writes records of pid, length, and the command line as the process has it, or its name where that is empty. */
int32_t Commands(Reader& request, WorkerArea* area) {
  constexpr size_t kBytesMax = 256;
  for (const uint32_t pid : request.list<uint32_t>()) {
    area->enter(pid);
    struct {
      uint32_t pid;
      uint32_t length;
      char text[kBytesMax];
    } record{pid, 0, {}};
    for (const char* name : {"/cmdline", "/comm"}) {
      const Fd fd(open(("/proc/" + std::to_string(pid) + name).c_str(), O_RDONLY | O_CLOEXEC));
      const ssize_t length = fd.valid() ? read(fd.get(), record.text, kBytesMax) : 0;
      if (length <= 0) continue;
      record.length = static_cast<uint32_t>(length);
      break;
    }
    if (!area->append(&record, 8 + ((record.length + 3) & ~3u))) return static_cast<int32_t>(pid);
  }
  return request.good() ? 0 : -EBADMSG;
}

int32_t Pages(int fd, Reader& request, WorkerArea* area) {
  const uint64_t offset = request.take<uint64_t>();
  const uint64_t length = request.take<uint64_t>();
  const uint64_t page_bytes = request.take<uint64_t>();
  return request.good() && fd >= 0 ? PresentPages(fd, offset, length, page_bytes, area) : -EBADMSG;
}

/** A job of a row: its status goes to the area. False: it is not the last one, whose answer is that of all. */
bool Preserve(const std::vector<Fd>& fds, Reader& request, WorkerArea* area) {
  const uint64_t token = request.take<uint64_t>();
  const bool last = request.take<uint32_t>() != 0;
  int32_t result = kNotBegun;
  if (!request.good() || fds.size() != 2) {
    result = -EBADMSG;
  } else if (area->empty() || !area->stopped()) {
    result = PreserveFile(fds[1].get(), fds[0].get(), token);
  }
  area->append(&result, sizeof(result));
  area->step();
  return last;
}

/** Removes the attributes that an owner can give its file, access lists among them; what the system put there stays. */
int Strip(int fd) {
  std::vector<char> names(XATTR_LIST_MAX);
  const ssize_t length = flistxattr(fd, names.data(), names.size());
  if (length < 0) return errno == EOPNOTSUPP ? 0 : -1;
  for (const char* name = names.data(); name < names.data() + length; name += strlen(name) + 1) {
    const bool of_owner = strncmp(name, "user.", 5) == 0 || strncmp(name, "system.posix_acl_", 17) == 0;
    if (of_owner && fremovexattr(fd, name) < 0 && errno != ENODATA) return -1;
  }
  return 0;
}

int Allocate(int fd, int mode, uint64_t offset, uint64_t length) {
  int result;
  do result = fallocate(fd, mode, static_cast<off_t>(offset), static_cast<off_t>(length));
  while (result < 0 && errno == EINTR);
  return result;
}

/** Stops at the first piece that fails. */
int32_t PunchHoles(int fd, Reader& request) {
  struct Piece {
    uint64_t offset, length;
  };
  const std::vector<Piece> pieces = request.list<Piece>();
  if (!request.good() || fd < 0) return -EBADMSG;
  for (const Piece& piece : pieces)
    if (Allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, piece.offset, piece.length) < 0) return -errno;
  return 0;
}

/** Has the filesystem write the blocks of a part. The kernel does it as for a store to each page, and stores nothing. */
int Populate(int fd, uint64_t offset, uint64_t length) {
  void* memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (memory == MAP_FAILED) return -1;
  int result;
  do result = madvise(memory, length, MADV_POPULATE_WRITE);
  while (result < 0 && errno == EINTR);
  const int error = errno;
  munmap(memory, length);
  errno = error;
  return result;
}

/** It takes a descriptor that only names its file (O_PATH), too, where the kernel has a call for that. */
int32_t Operate(uint32_t kind, int fd, Reader& request) {
  const uint64_t first = request.take<uint64_t>();
  const uint64_t second = request.take<uint64_t>();
  if (!request.good() || fd < 0) return -EBADMSG;
  const auto run = [&] {
    switch (kind) {
      case kChmod: return chmod(("/proc/self/fd/" + std::to_string(fd)).c_str(), static_cast<mode_t>(first));
      case kChown: return fchownat(fd, "", static_cast<uid_t>(first), static_cast<gid_t>(second), AT_EMPTY_PATH);
      case kTruncate: return ftruncate(fd, static_cast<off_t>(first));
      case kAllocate: return Allocate(fd, 0, first, second);
      case kStrip: return Strip(fd);
      case kSync: return fsync(fd);
      case kPopulate: return Populate(fd, first, second);
    }
    errno = EBADMSG;
    return -1;
  };
  return run() < 0 ? -errno : 0;
}

int Run() {
  prctl(PR_SET_NAME, "membroker-work");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Close what others have left open for programs to inherit.
  syscall(SYS_close_range, kArea + 1, ~0u, 0);
  void* memory = mmap(nullptr, WorkerArea::kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, kArea, 0);
  if (memory == MAP_FAILED) return EXIT_FAILURE;
  WorkerArea area(memory);
  for (Order order; ReceiveOrder(kSocket, kRequestBytesMax, &order);) {
    auto& [kind, bytes, fds] = order;
    bool last = true;
    Reader request(bytes);
    int32_t status;
    switch (kind) {
      case kHolders: status = Holders(request, &area); break;
      case kCommands: status = Commands(request, &area); break;
      case kPages: status = Pages(fds.empty() ? -1 : fds[0].get(), request, &area); break;
      case kPreserve: status = 0, last = Preserve(fds, request, &area); break;
      case kClose: status = 0; break;
      case kPunchHoles: status = PunchHoles(fds.empty() ? -1 : fds[0].get(), request); break;
      default: status = Operate(kind, fds.empty() ? -1 : fds[0].get(), request);
    }
    // Close them before the answer: once the broker has that, nothing of them is open here.
    fds.clear();
    if (last && send(kSocket, &status, sizeof(status), MSG_NOSIGNAL) != sizeof(status)) break;
  }
  return EXIT_SUCCESS;
}

}  // namespace

}  // namespace membroker

int main() { return membroker::Run(); }
