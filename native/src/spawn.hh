#pragma once

namespace membroker {

struct Spawned {
  /** The pid of a child of this process, or -errno. */
  int pid;
  int pidfd;
};

// native/functions.ts documents both.
Spawned SpawnWorker(int executable, int socket, int area);
/** 0 or -errno. */
int Reap(int pid);

}  // namespace membroker
