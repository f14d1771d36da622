#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace membroker {

/**
 * Memory that a worker shares with its broker. When the worker does not answer, the broker sees here how far it is and
 * what it has found. Little-endian as the machine; src/broker/worker reads it, and clears the head before each job.
 */
class WorkerArea {
 public:
  static constexpr size_t kBytes = 64 * 1024;

  explicit WorkerArea(void* memory) : head_(static_cast<Head*>(memory)) {}

  /** The worker looks at this process next. */
  void enter(uint32_t pid) {
    head_->pid.store(pid, std::memory_order_release);
    step();
  }
  /** The kernel has answered the worker: a worker without steps is stuck. */
  void step() { head_->steps.fetch_add(1, std::memory_order_release); }
  /** The broker wants nothing more of what it has ordered in one go. */
  bool stopped() const { return head_->stopped.load(std::memory_order_acquire) != 0; }
  bool empty() const { return head_->used.load(std::memory_order_relaxed) == 0; }
  /** False when there is no room for it. */
  bool append(const void* bytes, size_t size) {
    const uint32_t used = head_->used.load(std::memory_order_relaxed);
    if (used + size > kBytes - sizeof(Head)) return false;
    memcpy(reinterpret_cast<uint8_t*>(head_ + 1) + used, bytes, size);
    head_->used.store(used + size, std::memory_order_release);
    return true;
  }

 private:
  struct Head {
    std::atomic<uint32_t> steps;
    std::atomic<uint32_t> pid;
    std::atomic<uint32_t> used;
    std::atomic<uint32_t> stopped;
  };
  static_assert(sizeof(Head) == 16, "src/broker/worker reads it");

  Head* head_;
};

}  // namespace membroker
