#pragma once

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace membroker {

/** native/functions.ts documents it. The kernel makes every pidfd close-on-exec. */
inline int PidfdOpen(int pid) {
  const long fd = syscall(SYS_pidfd_open, pid, 0);
  if (fd >= 0) return static_cast<int>(fd);
  return pid > 0 && (errno == EINVAL || errno == ENOENT) ? -ESRCH : -errno;
}

}  // namespace membroker
