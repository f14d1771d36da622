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
  /** Which mappings count: those of any of these parts; empty: all. */
  std::vector<FilePart> parts;
  /** Looked at first, in this order. */
  std::vector<uint32_t> first;
  /** Then every process with a number from here on, but not these. kNone: no others. */
  uint32_t from;
  std::vector<uint32_t> skip;

  static constexpr uint32_t kNone = UINT32_MAX;
};

/** What /proc shows of one process; in the area where there is something to tell. */
struct HolderRecord {
  uint32_t pid;
  uint32_t fds;
  uint32_t maps;
  uint32_t flags;

  /** Its descriptors or mappings could not all be looked at. */
  static constexpr uint32_t kUnseen = 1;
  /** An io_uring with files or buffers registered, or one that does not show whether it has: they can be anything. */
  static constexpr uint32_t kRing = 2;
  /** A device that takes its users' memory for as long as it likes (VFIO, IOMMU, RDMA, SEV, vDPA). */
  static constexpr uint32_t kDevice = 4;
};

/**
 * Looks through processes for those that have a file open or mapped, by what /proc shows. Descriptors in flight on a
 * socket are shown nowhere. Everything but "gone" is not seen. 0, or the pid to go on from because the area is full.
 */
uint32_t FindHolders(const HolderQuestion& question, WorkerArea* area);

}  // namespace membroker
