#pragma once

#include "fd.hh"
#include "sweep.hh"

namespace membroker {

/** Holes of a file read as zeros, and stay holes: a full filesystem has no blocks for them. */
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
  /** The next data at or after an offset, up to an end: that end where there is none. */
  Piece nextData(uint64_t offset, uint64_t end) const;

  /** Not valid for devices, which have no holes. */
  Fd file_;
  uint64_t file_offset_ = 0;
};

}  // namespace membroker
