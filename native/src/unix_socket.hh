#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "fd.hh"

// Unix sockets without an event loop. native/functions.ts documents what it exports of them. Results below zero are
// -errno.
namespace membroker {

/** The kernel's own limit of descriptors in one message (SCM_MAX_FD). */
constexpr size_t kFdsPerMessageMax = 253;

int ListenUnix(const std::string& path, int backlog);
int ConnectUnix(const std::string& path);
int SendDatagram(const std::string& path, const std::string& text, const std::vector<int>& fds);
int SocketPair(int fds[2]);
/** 0 or -errno. */
int AdoptListener(int fd, std::string* path);
int AcceptUnix(int listener);

struct Received {
  /**
   * Bytes read; 0 at the end of the stream; or -errno. -EPROTO: the kernel truncated descriptors, and ReceiveUnix
   * closed those that came.
   */
  ssize_t bytes;
  std::vector<Fd> fds;
};
Received ReceiveUnix(int socket, void* buffer, size_t size);
/** Drops what waits to be read, with its descriptors. Returns the bytes. */
int64_t DiscardUnread(int socket);

/** A message to a child of this project's own: its kind, its bytes, and the descriptors that came with it. */
struct Order {
  uint32_t kind;
  std::string bytes;
  std::vector<Fd> fds;
};
/** Waits for the next one. False: the other end is gone, or the order has more than bytes_max. */
bool ReceiveOrder(int socket, uint32_t bytes_max, Order* order);

struct Peer {
  int pid;
  unsigned uid;
  unsigned gid;
  int pidfd;
};
int PeerOf(int socket, Peer* peer);
int64_t PeerUidOf(int socket);

/** The state of a connection's peer, which PeerStateOf finds without reading. */
enum class PeerState { kThere, kGone, kOutOfBand };
PeerState PeerStateOf(int socket);

/** Messages that wait for a socket to take them, each with the descriptors that ride on its first byte. */
class SendQueue {
 public:
  /** Writes what the socket takes now, and queues the rest. It closes fds once sent, and on failure. 0 or -errno. */
  int send(int socket, const uint8_t* bytes, size_t size, std::vector<Fd> fds);
  /** Writes what the socket takes now. 0 or -errno. */
  int flush(int socket);
  void clear();
  size_t queued() const { return queued_; }
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
