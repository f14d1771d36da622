#pragma once

#include <errno.h>
#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "mapping.hh"

namespace membroker {

/** Overwrites part of a file with zeros, on threads of its own. */
class Scrub {
 public:
  Scrub() = default;
  Scrub(const Scrub&) = delete;
  Scrub& operator=(const Scrub&) = delete;
  ~Scrub() {
    cancel();
    join();
  }

  /** 0 or -errno. After 0 done is called once, on one of the threads, as the last thing any of them does. */
  int start(int fd, uint64_t offset, uint64_t length, unsigned threads, std::function<void()> done);
  void cancel() { stop(-ECANCELED); }
  void join();

  uint64_t bytesDone() const { return bytes_done_.load(std::memory_order_relaxed); }
  /** After done: 0, -ECANCELED, or -EFAULT for a page that can't be had. */
  int result() const { return result_.load(); }

 private:
  static void* Run(void* scrub);
  void work();
  void stop(int result);

  Mapping mapping_;
  std::function<void()> done_;
  std::vector<pthread_t> threads_;
  std::atomic<uint64_t> next_{0};
  std::atomic<uint64_t> bytes_done_{0};
  std::atomic<int> running_{0};
  std::atomic<int> result_{0};
};

}  // namespace membroker
