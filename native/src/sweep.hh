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

/** A piece of the part that a sweep goes over; offset counts from the start of the part. */
struct Piece {
  uint64_t offset;
  uint64_t length;
};

/**
 * Goes over a part of a file, chunk by chunk, on threads of its own. It notes memory that has failed and steps over it;
 * any other error ends it. A derived class joins in its destructor.
 */
class Sweep {
 public:
  Sweep(const Sweep&) = delete;
  Sweep& operator=(const Sweep&) = delete;
  virtual ~Sweep() = default;

  /** 0 or -errno. After 0, one of the threads calls done once, as the last thing that any of them does. */
  int start(int fd, uint64_t offset, uint64_t length, unsigned threads, std::function<void()> done);
  void cancel() { stop(-ECANCELED); }
  void join();

  uint64_t bytesDone() const { return bytes_done_.load(std::memory_order_relaxed); }
  /** Call it after join. NativeSweep.errno in native/addon.ts documents the values. */
  int result() const;
  /** Call it after join. */
  const std::vector<Piece>& bad() const { return bad_; }

 protected:
  explicit Sweep(uint64_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}

  /** Runs before the threads, on the caller's thread: 0 or -errno. */
  virtual int open(int fd, uint64_t offset, uint64_t length) = 0;
  /** Does one chunk, on any of the threads: 0 or -errno. */
  virtual int visit(uint64_t offset, uint64_t length) = 0;
  /** Runs on the thread that joins, when the threads have ended. */
  virtual void ended() {}

  /**
   * Calls access(argument), which works through [offset, offset + length) of the mapping. After each bad page it calls
   * next(argument, offset), which makes access go on at that offset, and then access again. 0 or -errno.
   */
  int overMapping(uint64_t offset, uint64_t length, void (*access)(void*), void* argument,
                  void (*next)(void*, uint64_t));
  /** first counts from the start of the part, and is negative for a page that begins before it. */
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
