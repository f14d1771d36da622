#pragma once

#include <cstdint>
#include <vector>

namespace membroker {

struct Holder {
  int pid;
  int fds;
  int maps;
};
struct Holders {
  std::vector<Holder> list;
  /** Processes whose descriptors or mappings this one may not read. */
  int unreadable = 0;
};

/**
 * Processes other than this one that have the file open or mapped, by what /proc shows. Descriptors in flight on a
 * socket or registered with io_uring are not shown there.
 */
Holders FindHolders(uint64_t device, uint64_t inode);

}  // namespace membroker
