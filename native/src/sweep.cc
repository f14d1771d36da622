#include "sweep.hh"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "fault_guard.hh"

namespace membroker {

namespace {

constexpr unsigned kThreadsMax = 64;
/** The threads give way to whoever answers requests, and take what nobody else wants. */
constexpr int kNice = 10;
/** The sizes that the kernel may report for a bad page. */
constexpr unsigned kPageBitsMin = 12, kPageBitsMax = 40;

}  // namespace

int Sweep::start(int fd, uint64_t offset, uint64_t length, unsigned threads, std::function<void()> done) {
  if (const int error = open(fd, offset, length)) return error;
  size_ = length;
  done_ = std::move(done);
  const uint64_t chunks = (length + chunk_bytes_ - 1) / chunk_bytes_;
  const auto count = static_cast<unsigned>(std::min<uint64_t>(std::clamp(threads, 1u, kThreadsMax), chunks));

  // Node's threads take the signals, but a thread must take its own faults: a blocked one kills the process.
  sigset_t blocked, before;
  sigfillset(&blocked);
  for (const int fault : {SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGABRT}) sigdelset(&blocked, fault);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  int error = 0;
  // One more than there are threads, so that none of them is the last before start has made all.
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

void* Sweep::Run(void* sweep) {
  Sweep* self = static_cast<Sweep*>(sweep);
  // On Linux a thread has a niceness of its own. A failure does not matter.
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kNice);
  self->work();
  if (self->running_.fetch_sub(1) == 1) self->done_();
  return nullptr;
}

void Sweep::work() {
  while (result_.load(std::memory_order_relaxed) == 0) {
    const uint64_t offset = next_.fetch_add(chunk_bytes_, std::memory_order_relaxed);
    if (offset >= size_) return;
    const uint64_t length = std::min(chunk_bytes_, size_ - offset);
    if (const int error = visit(offset, length)) {
      stop(error);
    } else {
      bytes_done_.fetch_add(length, std::memory_order_relaxed);
    }
  }
}

int Sweep::overMapping(uint64_t offset, uint64_t length, void (*access)(void*), void* argument,
                       void (*next)(void*, uint64_t)) {
  const uint64_t end = offset + length;
  Fault fault;
  int error;
  while ((error = WithFaultGuard(mapping_.data() + offset, end - offset, access, argument, &fault)) == -EHWPOISON) {
    const uint64_t page = uint64_t{1} << std::clamp(fault.address_bits, kPageBitsMin, kPageBitsMax);
    const int64_t first =
        static_cast<int64_t>(fault.address / page * page) - reinterpret_cast<intptr_t>(mapping_.data());
    foundBad(first, page);
    offset = static_cast<uint64_t>(first + static_cast<int64_t>(page));
    if (offset >= end) return 0;
    next(argument, offset);
  }
  return error;
}

void Sweep::foundBad(int64_t first, uint64_t length) {
  const int64_t end = std::min(first + static_cast<int64_t>(length), static_cast<int64_t>(size_));
  const int64_t begin = std::max<int64_t>(first, 0);
  const std::lock_guard<std::mutex> lock(bad_mutex_);
  bad_.push_back({static_cast<uint64_t>(begin), static_cast<uint64_t>(end - begin)});
}

int Sweep::result() const {
  const int result = result_.load();
  return result == 0 && !bad_.empty() ? -EHWPOISON : result;
}

void Sweep::stop(int result) {
  int none = 0;
  result_.compare_exchange_strong(none, result);
}

void Sweep::join() {
  if (threads_.empty()) return;
  for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
  threads_.clear();
  mapping_.unmap();
  std::sort(bad_.begin(), bad_.end(), [](const Piece& a, const Piece& b) { return a.offset < b.offset; });
  std::vector<Piece> joined;
  for (const Piece& piece : bad_) {
    Piece* last = joined.empty() ? nullptr : &joined.back();
    if (last && piece.offset <= last->offset + last->length) {
      last->length = std::max(last->length, piece.offset + piece.length - last->offset);
    } else {
      joined.push_back(piece);
    }
  }
  bad_ = std::move(joined);
  ended();
}

}  // namespace membroker
