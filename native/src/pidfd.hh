#pragma once

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace membroker {

/**
 * Close-on-exec always, by the kernel. -ESRCH when there is no such process; also where the number is a thread's, or of a
 * process that is about to be gone, which kernels call EINVAL or ENOENT.
 */
inline int PidfdOpen(int pid) {
  const long fd = syscall(SYS_pidfd_open, pid, 0);
  if (fd >= 0) return static_cast<int>(fd);
  return pid > 0 && (errno == EINVAL || errno == ENOENT) ? -ESRCH : -errno;
}

}  // namespace membroker
