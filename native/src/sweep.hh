#pragma once

#include <errno.h>
#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "mapping.hh"

namespace membroker {

/** A piece of what is swept, from its start. */
struct Piece {
  uint64_t offset;
  uint64_t length;
};

/**
 * Goes over a part of a file, chunk by chunk, on threads of its own. Memory that the hardware can't give any more is
 * stepped over and noted; anything else that goes wrong ends it. A derived class joins before it is destroyed.
 */
class Sweep {
 public:
  Sweep(const Sweep&) = delete;
  Sweep& operator=(const Sweep&) = delete;
  virtual ~Sweep() = default;

  /** 0 or -errno. After 0 done is called once, on one of the threads, as the last thing any of them does. */
  int start(int fd, uint64_t offset, uint64_t length, unsigned threads, std::function<void()> done);
  void cancel() { stop(-ECANCELED); }
  void join();

  uint64_t bytesDone() const { return bytes_done_.load(std::memory_order_relaxed); }
  /** After join: 0, -ECANCELED, -EFAULT for pages that are not there, -EHWPOISON when all but bad() was done. */
  int result() const;
  /** After join: bad memory, in order, neighbours joined. */
  const std::vector<Piece>& bad() const { return bad_; }

 protected:
  explicit Sweep(uint64_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}

  /** Before the threads, on the caller's: 0 or -errno. */
  virtual int open(int fd, uint64_t offset, uint64_t length) = 0;
  /** One chunk, on any thread: 0 or -errno. */
  virtual int visit(uint64_t offset, uint64_t length) = 0;
  /** The threads have ended. */
  virtual void ended() {}

  /**
   * access(argument) with whatever of the mapping's [offset, offset + length) it has not done yet, as it says by
   * next(argument, offset): again after each bad page. 0 or -errno.
   */
  int overMapping(uint64_t offset, uint64_t length, void (*access)(void*), void* argument,
                  void (*next)(void*, uint64_t));
  /** first: relative to the start, or before it. */
  void foundBad(int64_t first, uint64_t length);
  uint64_t size() const { return size_; }

  Mapping mapping_;

 private:
  static void* Run(void* sweep);
  void work();
  void stop(int result);

  const uint64_t chunk_bytes_;
  uint64_t size_ = 0;
  std::function<void()> done_;
  std::vector<pthread_t> threads_;
  std::atomic<uint64_t> next_{0};
  std::atomic<uint64_t> bytes_done_{0};
  std::atomic<int> running_{0};
  std::atomic<int> result_{0};
  std::mutex bad_mutex_;
  std::vector<Piece> bad_;
};

}  // namespace membroker
