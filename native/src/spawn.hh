#pragma once

namespace membroker {

struct Spawned {
  /** Or -errno. */
  int pid;
  int pidfd;
};

/**
 * Starts a program by a descriptor of its file, with nothing of this process but the standard error stream, a socket
 * (3) and a file (4). The pid is this process' child: Reap() when the pidfd says that it has ended.
 */
Spawned SpawnWorker(int executable, int socket, int area);
/** 0, or -errno: -EAGAIN when it has not ended. */
int Reap(int pid);

}  // namespace membroker
