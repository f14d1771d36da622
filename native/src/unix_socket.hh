#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "fd.hh"

// Unix stream sockets: what the kernel calls do, without an event loop. Results below zero are -errno.
namespace membroker {

/** The kernel's own limit of descriptors in one message (SCM_MAX_FD). */
constexpr size_t kFdsPerMessageMax = 253;

int ListenUnix(const std::string& path, int backlog);
int ConnectUnix(const std::string& path);
/** One datagram to the socket at path, with copies of descriptors. Never waits: -EAGAIN when its queue is full. 0 or -errno. */
int SendDatagram(const std::string& path, const std::string& text, const std::vector<int>& fds);
int SocketPair(int fds[2]);
/**
 * Make a listening Unix stream socket that another process made fit for use here: non-blocking and close-on-exec.
 * 0 or -errno; -EINVAL for any other descriptor. path is empty where the socket has none.
 */
int AdoptListener(int fd, std::string* path);
int AcceptUnix(int listener);

struct Received {
  /** Bytes read; 0 at the end of the stream; -errno. -EPROTO: descriptors were truncated, those that came are closed. */
  ssize_t bytes;
  std::vector<Fd> fds;
};
Received ReceiveUnix(int socket, void* buffer, size_t size);

struct Peer {
  int pid;
  unsigned uid;
  unsigned gid;
  int pidfd;
};
int PeerOf(int socket, Peer* peer);
/** The uid of PeerOf alone, or -errno. */
int64_t PeerUidOf(int socket);

/** What a connection tells of its peer without being read. */
enum class PeerState { kThere, kGone, kOutOfBand };
PeerState PeerStateOf(int socket);

/** Bytes waiting for a socket to take them, each with the descriptors that ride on its first byte. */
class SendQueue {
 public:
  /** Write what the socket takes now and queue the rest. 0 or -errno; fds are closed in either case once sent or failed. */
  int send(int socket, const uint8_t* bytes, size_t size, std::vector<Fd> fds);
  /** Write what the socket takes now. 0 or -errno. */
  int flush(int socket);
  void clear();
  size_t queued() const { return queued_; }
  /** Descriptors among it, which are still open here. */
  size_t queuedFds() const { return queued_fds_; }

 private:
  struct Message {
    std::vector<uint8_t> bytes;
    size_t sent;
    std::vector<Fd> fds;
  };
  void consume(size_t bytes);

  std::deque<Message> messages_;
  size_t queued_ = 0;
  size_t queued_fds_ = 0;
};

}  // namespace membroker
