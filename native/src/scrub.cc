#include "scrub.hh"

#include <string.h>
#include <sys/mman.h>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace membroker {

namespace {

/** Linux 5.14 (MADV_POPULATE_READ); older headers have no name for it. */
constexpr int kPopulateRead = 22;

struct Chunk {
  uint8_t* base;
  uint8_t* begin;
  uint8_t* end;
};

void Zero(void* argument) {
  const Chunk* chunk = static_cast<const Chunk*>(argument);
  uint8_t* at = chunk->begin;
#if defined(__x86_64__)
  // These stores go past the caches, which others need: 1.5 times as fast as memset on pages that are mapped already.
  const __m128i zero = _mm_setzero_si128();
  for (; chunk->end - at >= static_cast<ptrdiff_t>(sizeof(zero)); at += sizeof(zero)) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(at), zero);
  }
#endif
  memset(at, 0, static_cast<size_t>(chunk->end - at));
}

void GoOn(void* argument, uint64_t offset) {
  Chunk* chunk = static_cast<Chunk*>(argument);
  chunk->begin = chunk->base + offset;
}

}  // namespace

int Scrub::open(int fd, uint64_t offset, uint64_t length) { return mapping_.map(fd, offset, length, true); }

int Scrub::visit(uint64_t offset, uint64_t length) {
  uint8_t* begin = mapping_.data() + offset;
  // Of 4 KiB pages, the faults of stores one by one take half of a scrub. A read maps many at once; those of
  // tmpfs are writable then, those of a disk's file fault again at the first store. Where this fails, the stores fault.
  madvise(begin, length, kPopulateRead);
  Chunk chunk{mapping_.data(), begin, begin + length};
  const int error = overMapping(offset, length, Zero, &chunk, GoOn);
#if defined(__x86_64__)
  // Also after a fault: others must see every store before they see the result.
  _mm_sfence();
#endif
  return error;
}

}  // namespace membroker
