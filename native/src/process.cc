#include "process.hh"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "fd.hh"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

namespace membroker {

namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

/** Puts descriptors at given numbers; the destructor puts back what was there. */
class Placement {
 public:
  ~Placement() {
    for (Saved& saved : saved_) {
      if (saved.fd.valid()) {
        dup3(saved.fd.get(), saved.to, saved.flags & FD_CLOEXEC ? O_CLOEXEC : 0);
      } else {
        close(saved.to);
      }
    }
  }

  int place(const std::vector<FdMove>& moves) {
    int above = 3;
    for (const FdMove& move : moves) above = std::max(above, move.to + 1);
    // All sources leave the target numbers first, so that no move overwrites the source of a later one.
    std::vector<Fd> sources;
    for (const FdMove& move : moves) {
      if (move.to < 0) return -EBADF;
      Fd copy(fcntl(move.from, F_DUPFD_CLOEXEC, above));
      if (!copy.valid()) return -errno;
      sources.push_back(std::move(copy));
    }
    for (size_t index = 0; index < moves.size(); index++) {
      const int to = moves[index].to;
      const int flags = fcntl(to, F_GETFD);
      Fd before;
      if (flags >= 0) {
        before = Fd(fcntl(to, F_DUPFD_CLOEXEC, above));
        if (!before.valid()) return -errno;
      }
      // dup2 leaves close-on-exec off.
      if (dup2(sources[index].get(), to) < 0) return -errno;
      saved_.insert(saved_.begin(), {to, flags, std::move(before)});
    }
    return 0;
  }

 private:
  struct Saved {
    int to;
    int flags;
    Fd fd;
  };
  // The latest comes first, so that a target used twice ends as it began.
  std::vector<Saved> saved_;
};

/**
 * Makes the standard streams as programs expect them: Node marks them close-on-exec when it starts, and libuv makes
 * those that it uses non-blocking for all who share them.
 */
class PlainStdio {
 public:
  PlainStdio() {
    for (int fd = 0; fd < 3; fd++) {
      descriptor_flags_[fd] = fcntl(fd, F_GETFD);
      status_flags_[fd] = fcntl(fd, F_GETFL);
      if (descriptor_flags_[fd] < 0) continue;
      fcntl(fd, F_SETFD, descriptor_flags_[fd] & ~FD_CLOEXEC);
      fcntl(fd, F_SETFL, status_flags_[fd] & ~O_NONBLOCK);
    }
  }
  ~PlainStdio() {
    for (int fd = 0; fd < 3; fd++) {
      if (descriptor_flags_[fd] < 0) continue;
      fcntl(fd, F_SETFD, descriptor_flags_[fd]);
      fcntl(fd, F_SETFL, status_flags_[fd]);
    }
  }

 private:
  int descriptor_flags_[3];
  int status_flags_[3];
};

/** Resets signals to what they are at login: Node ignores two, and an ignored signal stays ignored over exec. */
class DefaultSignals {
 public:
  DefaultSignals() {
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_DFL;
    for (int index = 0; index < 2; index++) sigaction(kIgnored[index], &action, &actions_[index]);
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, &mask_);
  }
  ~DefaultSignals() {
    for (int index = 0; index < 2; index++) sigaction(kIgnored[index], &actions_[index], nullptr);
    pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }

 private:
  static constexpr int kIgnored[2] = {SIGPIPE, SIGXFSZ};
  struct sigaction actions_[2];
  sigset_t mask_;
};

}  // namespace

int PidfdSendSignal(int pidfd, int signal) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) < 0 ? -errno : 0;
}

int PidfdIsAlive(int pidfd) {
  pollfd poll_fd{pidfd, POLLIN, 0};
  int ready;
  do ready = poll(&poll_fd, 1, 0);
  while (ready < 0 && errno == EINTR);
  if (ready < 0) return -errno;
  if (poll_fd.revents & POLLNVAL) return -EBADF;
  return ready == 0 ? 1 : 0;
}

int PidfdGetfd(int pidfd, int fd) {
  const long copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
  return copy < 0 ? -errno : static_cast<int>(copy);
}

int Exec(const std::string& file, const std::vector<std::string>& argv, const std::vector<std::string>& environment,
         const std::vector<FdMove>& moves) {
  const std::vector<char*> arguments = Pointers(argv);
  const std::vector<char*> variables = Pointers(environment);
  const DefaultSignals signals;
  Placement placement;
  if (const int error = placement.place(moves)) return error;
  const PlainStdio stdio;
  execvpe(file.c_str(), arguments.data(), variables.data());
  return -errno;
}

int WriteNonblocking(int fd, const uint8_t* bytes, size_t size) {
  pollfd ready{fd, POLLOUT, 0};
  int count;
  do count = poll(&ready, 1, 0);
  while (count < 0 && errno == EINTR);
  if (count < 0) return -errno;
  if (ready.revents & POLLNVAL) return -EBADF;
  if (ready.revents & POLLERR) return -EPIPE;
  if (!(ready.revents & POLLOUT)) return -EAGAIN;
  // A pipe that is ready has room for a page.
  const ssize_t written = write(fd, bytes, std::min<size_t>(size, PIPE_BUF));
  if (written >= 0) return static_cast<int>(written);
  return errno == EINTR ? -EAGAIN : -errno;
}

}  // namespace membroker
