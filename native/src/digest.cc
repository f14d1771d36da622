#include "digest.hh"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace membroker {

namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kLineBytes = 64;

struct Unit {
  const uint8_t* base;
  uint64_t offset;
  uint64_t length;
  bool root;
  Blake3Value* chunks;
};

void Hash(void* argument) {
  const Unit* unit = static_cast<const Unit*>(argument);
  Blake3Chunks(unit->base + unit->offset, unit->length, unit->offset / kBlake3ChunkBytes, unit->root,
               unit->chunks);
}

/** After a bad page the digest hashes nothing any more, and still looks for more bad pages. */
void Touch(void* argument) {
  const Unit* unit = static_cast<const Unit*>(argument);
  const volatile uint8_t* memory = unit->base;
  for (uint64_t at = unit->offset; at < unit->offset + unit->length; at += kLineBytes) (void)memory[at];
}

void GoOn(void* argument, uint64_t offset) {
  Unit* unit = static_cast<Unit*>(argument);
  unit->length -= offset - unit->offset;
  unit->offset = offset;
}

}  // namespace

int Digest::open(int fd, uint64_t offset, uint64_t length) {
  if (length == 0) return -EINVAL;
  if (offset > INT64_MAX - length) return -EOVERFLOW;
  struct stat stat;
  if (fstat(fd, &stat) < 0) return -errno;
  units_.resize((length + kBlake3UnitBytes - 1) / kBlake3UnitBytes);
  if (!S_ISREG(stat.st_mode)) return mapping_.map(fd, offset, length, false);
  file_ = Fd::dup(fd);
  if (!file_.valid()) return -errno;
  file_offset_ = offset;
  page_bytes_ = PageBytes(fd);
  return 0;
}

int Digest::visit(uint64_t offset, uint64_t length) {
  std::vector<Blake3Value> chunks((length + kBlake3ChunkBytes - 1) / kBlake3ChunkBytes);
  const int error = file_.valid() ? readUnit(offset, length, chunks.data()) : lookAtUnit(offset, length, chunks.data());
  if (error == 0) units_[offset / kBlake3UnitBytes] = Blake3Join(chunks, units_.size() == 1);
  return error;
}

int Digest::lookAtUnit(uint64_t offset, uint64_t length, Blake3Value* chunks) {
  Unit unit{mapping_.data(), offset, length, size() <= kBlake3ChunkBytes, chunks};
  bool hashing = true;
  struct Pass {
    Unit* unit;
    bool* hashing;
  } pass{&unit, &hashing};
  return overMapping(
      offset, length,
      [](void* argument) {
        const Pass* self = static_cast<Pass*>(argument);
        (*self->hashing ? Hash : Touch)(self->unit);
      },
      &pass,
      [](void* argument, uint64_t from) {
        const Pass* self = static_cast<Pass*>(argument);
        *self->hashing = false;
        GoOn(self->unit, from);
      });
}

int Digest::readUnit(uint64_t offset, uint64_t length, Blake3Value* chunks) {
  uint8_t buffer[kReadBytes];
  for (uint64_t done = 0; done < length;) {
    const uint64_t at = offset + done;
    const size_t wanted = std::min<uint64_t>(kReadBytes, length - done);
    size_t filled = 0;
    while (filled < wanted) {
      const auto position = static_cast<off_t>(file_offset_ + at + filled);
      const ssize_t count = pread(file_.get(), buffer + filled, wanted - filled, position);
      if (count > 0) {
        filled += static_cast<size_t>(count);
      } else if (count == 0) {
        return -EFAULT;
      } else if (errno == EIO || errno == EHWPOISON) {
        const uint64_t next = (static_cast<uint64_t>(position) / page_bytes_ + 1) * page_bytes_ - file_offset_;
        foundBad(static_cast<int64_t>(next) - static_cast<int64_t>(page_bytes_), page_bytes_);
        filled = std::min<uint64_t>(wanted, next - at);
      } else if (errno != EINTR) {
        return -errno;
      }
    }
    Blake3Chunks(buffer, wanted, at / kBlake3ChunkBytes, size() <= kBlake3ChunkBytes,
                 chunks + done / kBlake3ChunkBytes);
    done += wanted;
  }
  return 0;
}

void Digest::ended() {
  file_.reset();
  if (result() == 0) hash_ = Blake3Join(units_, units_.size() > 1);
  units_ = {};
}

}  // namespace membroker
