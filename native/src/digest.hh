#pragma once

#include "blake3.hh"
#include "fd.hh"
#include "sweep.hh"

namespace membroker {

/** BLAKE3 of part of a file. */
class Digest final : public Sweep {
 public:
  Digest() : Sweep(kBlake3UnitBytes) {}
  ~Digest() override {
    cancel();
    join();
  }

  /** Call it after join, when result is 0. */
  const Blake3Value& hash() const { return hash_; }

 private:
  int open(int fd, uint64_t offset, uint64_t length) override;
  int visit(uint64_t offset, uint64_t length) override;
  void ended() override;
  int readUnit(uint64_t offset, uint64_t length, Blake3Value* chunks);
  int lookAtUnit(uint64_t offset, uint64_t length, Blake3Value* chunks);

  /** Valid for a file, which it reads: a mapping would fill its holes with pages. A device can only be mapped. */
  Fd file_;
  uint64_t file_offset_ = 0;
  uint64_t page_bytes_ = 0;
  std::vector<Blake3Value> units_;
  Blake3Value hash_{};
};

}  // namespace membroker
