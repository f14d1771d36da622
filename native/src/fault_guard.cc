#include "fault_guard.hh"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include <atomic>

// The handler must not allocate: glibc allocates thread-local storage of loaded libraries lazily, except in this
// model. (musl allocates it when it loads the library.)
#ifdef __GLIBC__
#define SIGNAL_SAFE_TLS __attribute__((tls_model("initial-exec")))
#else
#define SIGNAL_SAFE_TLS
#endif

namespace membroker {

namespace {

struct Guard {
  uintptr_t begin;
  uintptr_t end;
  sigjmp_buf exit;
  volatile Fault fault;
};

SIGNAL_SAFE_TLS thread_local Guard* volatile current = nullptr;
struct sigaction previous;

void Chain(int signal, siginfo_t* info, void* context) {
  if (previous.sa_flags & SA_SIGINFO) {
    previous.sa_sigaction(signal, info, context);
    return;
  }
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
    return;
  }
  const bool sent_by_process = info->si_code <= 0;
  if (sent_by_process && previous.sa_handler == SIG_IGN) return;
  struct sigaction fatal;
  memset(&fatal, 0, sizeof(fatal));
  fatal.sa_handler = SIG_DFL;
  sigaction(signal, &fatal, nullptr);
  // A fault happens again on return; a signal that a process sent does not.
  if (sent_by_process) raise(signal);
}

void OnSigbus(int signal, siginfo_t* info, void* context) {
  Guard* guard = current;
  const uintptr_t address = reinterpret_cast<uintptr_t>(info->si_addr);
  if (info->si_code == BUS_MCEERR_AO) return;
  if (guard && info->si_code > 0 && address >= guard->begin && address < guard->end) {
    current = nullptr;
    const bool bad = info->si_code == BUS_MCEERR_AR;
    guard->fault.address = address;
    guard->fault.address_bits = bad ? static_cast<unsigned>(info->si_addr_lsb) : 0;
    siglongjmp(guard->exit, bad ? EHWPOISON : EFAULT);
  }
  Chain(signal, info, context);
}

void Install() {
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  action.sa_sigaction = OnSigbus;
  // SA_NODEFER leaves the signal mask alone, so that guarding an access costs no system call to save it.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &previous);
}

}  // namespace

__attribute__((noinline)) int WithFaultGuard(const void* base, size_t length, void (*access)(void*),
                                             void* argument, Fault* fault) {
  // Once, whichever thread comes first.
  [[maybe_unused]] static const bool installed = (Install(), true);

  Guard guard;
  guard.begin = reinterpret_cast<uintptr_t>(base);
  guard.end = guard.begin + length;
  const int error = sigsetjmp(guard.exit, 0);
  if (error != 0) {
    if (fault) *fault = {guard.fault.address, guard.fault.address_bits};
    return -error;
  }
  current = &guard;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  access(argument);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  current = nullptr;
  return 0;
}

int GuardedCopy(const void* base, void* to, const void* from, size_t length) {
  struct Copy {
    void* to;
    const void* from;
    size_t length;
  } copy{to, from, length};
  const auto run = [](void* argument) {
    const Copy* copy = static_cast<const Copy*>(argument);
    memcpy(copy->to, copy->from, copy->length);
  };
  return WithFaultGuard(base, length, run, &copy);
}

}  // namespace membroker
