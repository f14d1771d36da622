#include "write_nonblocking.hh"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>

namespace membroker {

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
