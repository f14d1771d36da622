#pragma once

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace membroker {

/** Owns one file descriptor. */
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.take()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = other.take();
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  /** The same open file description, close-on-exec. On failure it is not valid, and errno is set. */
  static Fd dup(int fd) { return Fd(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int take() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ < 0) return;
    const int saved = errno;
    close(take());
    errno = saved;
  }

 private:
  int fd_ = -1;
};

}  // namespace membroker
