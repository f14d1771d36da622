#pragma once

#include "sweep.hh"

namespace membroker {

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
};

}  // namespace membroker
