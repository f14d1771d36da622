#include "crc32c.hh"

#include <string.h>

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace membroker {

namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // 0x1edc6f41 reflected

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? kPolynomial : 0);
    table[byte] = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kTable = MakeTable();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t Crc32cSse42(const void* data, size_t length, uint32_t initial) {
  const uint8_t* bytes = static_cast<const uint8_t*>(data);
  uint64_t crc = ~initial;
  for (; length >= 8; bytes += 8, length -= 8) {
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    crc = _mm_crc32_u64(crc, word);
  }
  uint32_t tail = static_cast<uint32_t>(crc);
  for (; length > 0; bytes++, length--) tail = _mm_crc32_u8(tail, *bytes);
  return ~tail;
}
#endif

}  // namespace

uint32_t Crc32cPortable(const void* data, size_t length, uint32_t initial) {
  const uint8_t* bytes = static_cast<const uint8_t*>(data);
  uint32_t crc = ~initial;
  for (; length > 0; bytes++, length--) crc = (crc >> 8) ^ kTable[(crc ^ *bytes) & 0xff];
  return ~crc;
}

uint32_t Crc32c(const void* bytes, size_t length, uint32_t initial) {
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("sse4.2");
  if (fast) return Crc32cSse42(bytes, length, initial);
#endif
  return Crc32cPortable(bytes, length, initial);
}

}  // namespace membroker
