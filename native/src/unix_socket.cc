#include "unix_socket.hh"

#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <algorithm>

#include "pidfd.hh"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

namespace membroker {

namespace {

constexpr size_t kControlBytes = CMSG_SPACE(kFdsPerMessageMax * sizeof(int));
/** One system call takes so many small messages; more gains nothing measurable. */
constexpr size_t kGatherMax = 32;

struct Address {
  sockaddr_un un;
  socklen_t length;
};

int AddressOf(const std::string& path, Address* address) {
  if (path.empty()) return -EINVAL;
  const bool abstract = path[0] == '\0';
  if (!abstract && path.find('\0') != std::string::npos) return -EINVAL;
  if (path.size() > sizeof(address->un.sun_path) - (abstract ? 0 : 1)) return -ENAMETOOLONG;
  memset(&address->un, 0, sizeof(address->un));
  address->un.sun_family = AF_UNIX;
  memcpy(address->un.sun_path, path.data(), path.size());
  address->length = offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1);
  return 0;
}

Fd NewSocket() { return Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

int NumberOf(const Fd& fd) { return fd.get(); }
int NumberOf(int fd) { return fd; }

/** One sendmsg: bytes sent or -errno. to: the receiver, for a socket that is not connected. */
template <typename Descriptor>
ssize_t SendMessage(int socket, iovec* iov, size_t count, const std::vector<Descriptor>& fds, Address* to = nullptr) {
  alignas(cmsghdr) char control[kControlBytes];
  msghdr message{};
  if (to) {
    message.msg_name = &to->un;
    message.msg_namelen = to->length;
  }
  message.msg_iov = iov;
  message.msg_iovlen = count;
  if (!fds.empty()) {
    const size_t bytes = fds.size() * sizeof(int);
    memset(control, 0, CMSG_SPACE(bytes));
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(bytes);
    int* numbers = reinterpret_cast<int*>(CMSG_DATA(header));
    for (const Descriptor& fd : fds) *numbers++ = NumberOf(fd);
  }
  ssize_t sent;
  do sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

bool WouldBlock(ssize_t result) { return result == -EAGAIN || result == -EWOULDBLOCK; }

}  // namespace

int ListenUnix(const std::string& path, int backlog) {
  Address address;
  if (const int error = AddressOf(path, &address)) return error;
  Fd fd = NewSocket();
  if (!fd.valid()) return -errno;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address.un), address.length) < 0) return -errno;
  if (listen(fd.get(), backlog) < 0) {
    const int error = -errno;
    if (path[0] != '\0') unlink(path.c_str());
    return error;
  }
  return fd.take();
}

int ConnectUnix(const std::string& path) {
  Address address;
  if (const int error = AddressOf(path, &address)) return error;
  Fd fd = NewSocket();
  if (!fd.valid()) return -errno;
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address.un), address.length) < 0) return -errno;
  return fd.take();
}

int SendDatagram(const std::string& path, const std::string& text, const std::vector<int>& fds) {
  if (fds.size() > kFdsPerMessageMax) return -EINVAL;
  Address address;
  if (const int error = AddressOf(path, &address)) return error;
  const Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return -errno;
  iovec iov{const_cast<char*>(text.data()), text.size()};
  const ssize_t sent = SendMessage(fd.get(), &iov, 1, fds, &address);
  return sent < 0 ? static_cast<int>(sent) : 0;
}

int SocketPair(int fds[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
}

int AdoptListener(int fd, std::string* path) {
  int listening = 0;
  int type = 0;
  socklen_t length = sizeof(int);
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0) return errno == ENOTSOCK ? -EINVAL : -errno;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0) return -errno;
  sockaddr_un un{};
  length = sizeof(un);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&un), &length) < 0) return -errno;
  if (!listening || type != SOCK_STREAM || un.sun_family != AF_UNIX) return -EINVAL;
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return -errno;
  const size_t bytes = length - offsetof(sockaddr_un, sun_path);
  // The kernel counts the NUL that ends a path, and not the one that begins an abstract address.
  const bool named = bytes > 0 && un.sun_path[0] != '\0';
  *path = named ? std::string(un.sun_path, strnlen(un.sun_path, bytes)) : std::string(un.sun_path, bytes);
  return 0;
}

int AcceptUnix(int listener) {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) return fd;
    // The connection that failed is gone; the next one may be good.
    if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO) return -errno;
  }
}

Received ReceiveUnix(int socket, void* buffer, size_t size) {
  alignas(cmsghdr) char control[kControlBytes];
  iovec iov{buffer, size};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);

  Received received{};
  do received.bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (received.bytes < 0 && errno == EINTR);
  if (received.bytes < 0) {
    received.bytes = -errno;
    return received;
  }
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const int* numbers = reinterpret_cast<const int*>(CMSG_DATA(header));
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t index = 0; index < count; index++) received.fds.emplace_back(numbers[index]);
  }
  if (message.msg_flags & MSG_CTRUNC) {
    received.fds.clear();
    received.bytes = -EPROTO;
  }
  return received;
}

int64_t DiscardUnread(int socket) {
  char buffer[4096];
  int64_t bytes = 0;
  for (;;) {
    const ssize_t read = recv(socket, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (read < 0 && errno == EINTR) continue;
    if (read <= 0) return bytes;
    bytes += read;
  }
}

/** Waits for that many bytes. Adds the descriptors that come with them. False at the end of the stream. */
static bool ReceiveAll(int socket, void* buffer, size_t size, std::vector<Fd>* fds) {
  auto* bytes = static_cast<uint8_t*>(buffer);
  while (size > 0) {
    pollfd readable{socket, POLLIN, 0};
    if (poll(&readable, 1, -1) < 0 && errno != EINTR) return false;
    Received received = ReceiveUnix(socket, bytes, size);
    if (received.bytes == -EAGAIN) continue;
    if (received.bytes <= 0) return false;
    for (Fd& fd : received.fds) fds->push_back(std::move(fd));
    bytes += received.bytes;
    size -= static_cast<size_t>(received.bytes);
  }
  return true;
}

bool ReceiveOrder(int socket, uint32_t bytes_max, Order* order) {
  struct {
    uint32_t bytes;
    uint32_t kind;
  } head;
  order->fds.clear();
  if (!ReceiveAll(socket, &head, sizeof(head), &order->fds) || head.bytes > bytes_max) return false;
  order->kind = head.kind;
  order->bytes.assign(head.bytes, '\0');
  return ReceiveAll(socket, order->bytes.data(), order->bytes.size(), &order->fds);
}

int PeerOf(int socket, Peer* peer) {
  ucred credentials{};
  socklen_t length = sizeof(credentials);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -errno;
  int pidfd = -1;
  length = sizeof(pidfd);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) < 0) {
    pidfd = -1;
    const int error = errno;
    // This process or the host is out of descriptors or memory: the peer is not at fault, and is not gone.
    if (error == EMFILE || error == ENFILE || error == ENOMEM) return -error;
    // PidfdOpen is only for a kernel without the option: after any other failure the pid may be somebody else's by now.
    if (error == ENOPROTOOPT && credentials.pid > 0) {
      pidfd = PidfdOpen(credentials.pid);
      if (pidfd < 0 && pidfd != -ESRCH) return pidfd;
    }
  }
  if (pidfd >= 0) fcntl(pidfd, F_SETFD, FD_CLOEXEC);
  *peer = {credentials.pid, credentials.uid, credentials.gid, pidfd < 0 ? -1 : pidfd};
  return 0;
}

int64_t PeerUidOf(int socket) {
  ucred credentials{};
  socklen_t length = sizeof(credentials);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -errno;
  return credentials.uid;
}

PeerState PeerStateOf(int socket) {
  pollfd state{socket, POLLPRI, 0};
  if (poll(&state, 1, 0) < 0) return PeerState::kThere;
  // POLLRDHUP does not count: a peer that has only shut down its sending side waits for answers.
  if (state.revents & (POLLHUP | POLLERR | POLLNVAL)) return PeerState::kGone;
  return state.revents & POLLPRI ? PeerState::kOutOfBand : PeerState::kThere;
}

int SendQueue::send(int socket, const uint8_t* bytes, size_t size, std::vector<Fd> fds) {
  size_t sent = 0;
  if (messages_.empty()) {
    while (sent < size) {
      iovec iov{const_cast<uint8_t*>(bytes + sent), size - sent};
      const ssize_t result = SendMessage(socket, &iov, 1, fds);
      if (WouldBlock(result)) break;
      if (result < 0) return static_cast<int>(result);
      sent += static_cast<size_t>(result);
      fds.clear();
    }
    if (sent == size) return 0;
  }
  queued_ += size - sent;
  queued_fds_ += fds.size();
  messages_.push_back({std::vector<uint8_t>(bytes + sent, bytes + size), 0, std::move(fds)});
  return 0;
}

int SendQueue::flush(int socket) {
  while (!messages_.empty()) {
    // A message with descriptors goes alone: the receiver then knows that they belong to the
    // last message that begins in what it read.
    iovec iov[kGatherMax];
    size_t count = 0;
    for (Message& message : messages_) {
      if (count == kGatherMax || (count > 0 && !message.fds.empty())) break;
      iov[count++] = {message.bytes.data() + message.sent, message.bytes.size() - message.sent};
      if (!message.fds.empty()) break;
    }
    const ssize_t result = SendMessage(socket, iov, count, messages_.front().fds);
    if (WouldBlock(result)) return 0;
    if (result < 0) return static_cast<int>(result);
    consume(static_cast<size_t>(result));
  }
  return 0;
}

void SendQueue::consume(size_t bytes) {
  queued_ -= bytes;
  while (bytes > 0) {
    Message& message = messages_.front();
    queued_fds_ -= message.fds.size();
    message.fds.clear();
    const size_t part = std::min(bytes, message.bytes.size() - message.sent);
    message.sent += part;
    bytes -= part;
    if (message.sent == message.bytes.size()) messages_.pop_front();
  }
}

void SendQueue::clear() {
  messages_.clear();
  queued_ = 0;
  queued_fds_ = 0;
}

}  // namespace membroker
