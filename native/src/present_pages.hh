#pragma once

#include <cstdint>

#include "worker_area.hh"

namespace membroker {

/**
 * Writes the frame numbers (of 4 KiB) of the huge pages that a part of a file has into area, as uint64_t, in the order
 * of the file: 0 for a hole, which stays one, and for memory that has failed. Returns 0 or -errno: -ENOBUFS when they
 * do not all fit, -EPERM where the kernel hides them.
 */
int PresentPages(int fd, uint64_t offset, uint64_t length, uint64_t page_bytes, WorkerArea* area);

}  // namespace membroker
