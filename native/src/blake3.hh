#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

// BLAKE3 (https://github.com/BLAKE3-team/BLAKE3-specs), unkeyed, in parts that threads can share. Little-endian.
namespace membroker {

constexpr size_t kBlake3ChunkBytes = 1024;
/** A power of two of chunks: each unit is a subtree of its own, whatever comes before and after. */
constexpr size_t kBlake3UnitBytes = 1 << 20;
/** The code uses 16, 8 and 4 lanes, as far as the processor has them, up to a limit that tests lower. */
constexpr unsigned kBlake3LanesMax = 16;

/** A chaining value; of the root, the hash. */
struct Blake3Value {
  uint32_t words[8];
};

/**
 * Chaining values of consecutive chunks; counter is the number of the first one in the whole input. length is a
 * multiple of 1024, except at the end of the input; root: it is the only chunk there is.
 */
void Blake3Chunks(const uint8_t* data, size_t length, uint64_t counter, bool root, Blake3Value* out,
                  unsigned lanes_max = kBlake3LanesMax);

/**
 * The top of the tree over values, which it overwrites; a single value is its own top. root: the tree is the whole
 * input's.
 */
Blake3Value Blake3Join(std::vector<Blake3Value>& values, bool root, unsigned lanes_max = kBlake3LanesMax);

Blake3Value Blake3(const uint8_t* data, size_t length, unsigned lanes_max);

}  // namespace membroker
