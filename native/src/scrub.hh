#pragma once

#include <mutex>

#include "fd.hh"
#include "sweep.hh"

namespace membroker {

/**
 * Holes of a file stay holes: a full filesystem has no blocks for them. Blocks of a disk that read as zeros are none: they may hold
 * what was there before (FALLOC_FL_ZERO_RANGE, a write that failed), and are overwritten.
 */
class Scrub final : public Sweep {
 public:
  /** Small enough that cancel is prompt, large enough that threads do not meet on the counter. */
  static constexpr uint64_t kChunkBytes = 2 << 20;

  Scrub() : Sweep(kChunkBytes) {}
  ~Scrub() override {
    cancel();
    join();
  }

 private:
  int open(int fd, uint64_t offset, uint64_t length) override;
  int visit(uint64_t offset, uint64_t length) override;
  void ended() override { file_.reset(); }

  int zero(uint64_t offset, uint64_t length);
  int writeBack(const Piece& chunk);
  /** The next part of the file that is no hole, at or after an offset, up to an end: that end where there is none. */
  Piece nextPart(uint64_t offset, uint64_t end);
  Piece nextData(uint64_t offset, uint64_t end) const;
  Piece nextExtent(uint64_t offset, uint64_t end) const;
  bool isShorterThan(uint64_t end) const;
  void findHow();

  /** How the holes of the file are found. A filesystem that tells of no extents may have blocks that SEEK_DATA skips. */
  enum class Holes { kNone, kSeek, kExtents };
  Holes holes_ = Holes::kNone;
  std::once_flag found_how_;
  /** Not valid for devices, which have no holes. */
  Fd file_;
  uint64_t file_offset_ = 0;
};

}  // namespace membroker
