#pragma once

#include <cstdint>
#include <vector>

#include "worker_area.hh"

namespace membroker {

/** A part of a file. */
struct FilePart {
  uint64_t offset;
  uint64_t length;
};

struct HolderQuestion {
  uint64_t device;
  uint64_t inode;
  /** Mappings of any of these parts count; empty: all mappings do. */
  std::vector<FilePart> parts;
  /** Processes to look at first, in this order. */
  std::vector<uint32_t> first;
  /** Then every process with a number from here on, except those in skip. kNone: no others. */
  uint32_t from;
  std::vector<uint32_t> skip;

  static constexpr uint32_t kNone = UINT32_MAX;
};

/**
 * What /proc shows of one process. The area has a record of each process that holds something or was not fully seen.
 */
struct HolderRecord {
  uint32_t pid;
  uint32_t fds;
  uint32_t maps;
  uint32_t flags;

  /** The kernel did not show all its descriptors or mappings. */
  static constexpr uint32_t kUnseen = 1;
  /**
   * It has an io_uring with files or buffers registered, or one that does not show whether it has: they can be
   * anything.
   */
  static constexpr uint32_t kRing = 2;
  /** It has a device open that takes its users' memory for as long as it likes (VFIO, IOMMU, RDMA, SEV, vDPA). */
  static constexpr uint32_t kDevice = 4;
};

/**
 * Looks through processes, by what /proc shows, for those that have a file open or mapped. The kernel shows descriptors
 * in flight on a socket nowhere. Any error other than "gone" counts as not seen. Returns 0, or, when the area is full,
 * the pid to go on from.
 */
uint32_t FindHolders(const HolderQuestion& question, WorkerArea* area);

}  // namespace membroker
