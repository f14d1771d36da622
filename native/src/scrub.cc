#include "scrub.hh"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <algorithm>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#include "fault_guard.hh"

namespace membroker {

namespace {

/** Small enough that cancel is prompt, large enough that threads do not meet on the counter. */
constexpr uint64_t kChunkBytes = 2 << 20;
constexpr unsigned kThreadsMax = 64;

struct Chunk {
  uint8_t* data;
  uint64_t length;
};

void Zero(void* argument) {
  const Chunk* chunk = static_cast<const Chunk*>(argument);
  uint64_t done = 0;
#if defined(__x86_64__)
  // Past the caches, which others need: 1.5 times as fast as memset on pages that are mapped already.
  const __m128i zero = _mm_setzero_si128();
  for (; done + sizeof(zero) <= chunk->length; done += sizeof(zero)) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(chunk->data + done), zero);
  }
  _mm_sfence();
#endif
  memset(chunk->data + done, 0, chunk->length - done);
}

}  // namespace

int Scrub::start(int fd, uint64_t offset, uint64_t length, unsigned threads, std::function<void()> done) {
  if (const int error = mapping_.map(fd, offset, length, true)) return error;
  done_ = std::move(done);
  const uint64_t chunks = (length + kChunkBytes - 1) / kChunkBytes;
  const auto count = static_cast<unsigned>(std::min<uint64_t>(std::clamp(threads, 1u, kThreadsMax), chunks));

  // Signals are for Node's threads, but the faults must arrive: a blocked one kills.
  sigset_t blocked, before;
  sigfillset(&blocked);
  for (const int fault : {SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGABRT}) sigdelset(&blocked, fault);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  int error = 0;
  // One more than there are threads, so that none of them is the last before all are made.
  running_ = 1;
  for (unsigned index = 0; index < count && error == 0; index++) {
    running_++;
    pthread_t thread;
    error = pthread_create(&thread, nullptr, Run, this);
    if (error) {
      running_--;
    } else {
      threads_.push_back(thread);
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (threads_.empty()) return -error;
  if (running_.fetch_sub(1) == 1) done_();
  return 0;
}

void* Scrub::Run(void* scrub) {
  Scrub* self = static_cast<Scrub*>(scrub);
  self->work();
  if (self->running_.fetch_sub(1) == 1) self->done_();
  return nullptr;
}

void Scrub::work() {
  while (result_.load(std::memory_order_relaxed) == 0) {
    const uint64_t offset = next_.fetch_add(kChunkBytes, std::memory_order_relaxed);
    if (offset >= mapping_.size()) return;
    Chunk chunk{mapping_.data() + offset, std::min<uint64_t>(kChunkBytes, mapping_.size() - offset)};
    if (const int error = WithFaultGuard(chunk.data, chunk.length, Zero, &chunk)) {
      stop(error);
    } else {
      bytes_done_.fetch_add(chunk.length, std::memory_order_relaxed);
    }
  }
}

void Scrub::stop(int result) {
  int none = 0;
  result_.compare_exchange_strong(none, result);
}

void Scrub::join() {
  for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
  threads_.clear();
  mapping_.unmap();
}

}  // namespace membroker
