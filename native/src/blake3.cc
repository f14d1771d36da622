#include "blake3.hh"

#include <string.h>

#include <algorithm>

namespace membroker {

namespace {

constexpr size_t kBlockBytes = 64;

constexpr uint32_t kChunkStart = 1, kChunkEnd = 2, kParent = 4, kRoot = 8;

constexpr uint32_t kInitial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

constexpr uint8_t kSchedule[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1}, {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4}, {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13}};

/** Inputs of equally many whole blocks. count_up: their counters are consecutive; else all have the same. */
struct Blake3Inputs {
  unsigned blocks;
  bool count_up;
  uint32_t flags;
  uint32_t flags_first;
  uint32_t flags_last;
};

constexpr Blake3Inputs kChunks{kBlake3ChunkBytes / kBlockBytes, true, 0, kChunkStart, kChunkEnd};
constexpr Blake3Inputs kParents{1, false, kParent, 0, 0};

inline uint32_t RotateRight(uint32_t word, int bits) { return (word >> bits) | (word << (32 - bits)); }

/** Takes one block after another, for inputs that do not fill lanes. */
void Compress(Blake3Value* value, const uint8_t* block, uint32_t length, uint64_t counter, uint32_t flags) {
  uint32_t m[16];
  memcpy(m, block, sizeof(m));
  uint32_t v[16];
  memcpy(v, value->words, sizeof(value->words));
  memcpy(v + 8, kInitial, 4 * sizeof(uint32_t));
  v[12] = static_cast<uint32_t>(counter);
  v[13] = static_cast<uint32_t>(counter >> 32);
  v[14] = length;
  v[15] = flags;
  const auto mix = [&v](int a, int b, int c, int d, uint32_t x, uint32_t y) {
    v[a] += v[b] + x;
    v[d] = RotateRight(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = RotateRight(v[b] ^ v[c], 12);
    v[a] += v[b] + y;
    v[d] = RotateRight(v[d] ^ v[a], 8);
    v[c] += v[d];
    v[b] = RotateRight(v[b] ^ v[c], 7);
  };
  for (const auto& s : kSchedule) {
    for (int i = 0; i < 4; i++) mix(i, 4 + i, 8 + i, 12 + i, m[s[2 * i]], m[s[2 * i + 1]]);
    for (int i = 0; i < 4; i++) {
      mix(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[s[8 + 2 * i]], m[s[9 + 2 * i]]);
    }
  }
  for (int i = 0; i < 8; i++) value->words[i] = v[i] ^ v[i + 8];
}

/** A chunk of up to 1024 bytes. flags: more for its last block. */
Blake3Value HashChunk(const uint8_t* data, size_t length, uint64_t counter, uint32_t flags) {
  Blake3Value value;
  memcpy(value.words, kInitial, sizeof(value.words));
  for (size_t done = 0; done < length || done == 0; done += kBlockBytes) {
    const size_t rest = std::min(kBlockBytes, length - done);
    uint8_t block[kBlockBytes] = {};
    // Where there are no bytes, data may be null.
    if (rest > 0) memcpy(block, data + done, rest);
    const bool last = done + rest == length;
    Compress(&value, block, static_cast<uint32_t>(rest), counter,
             (done == 0 ? kChunkStart : 0) | (last ? kChunkEnd | flags : 0));
  }
  return value;
}

#define BLAKE3_LANES 4
namespace lanes4 {
#include "blake3_lanes.inc.hh"
}
#undef BLAKE3_LANES

#if defined(__x86_64__) && !defined(__clang__)
#define MEMBROKER_WIDE_LANES
#pragma GCC push_options
#pragma GCC target("avx2")
#define BLAKE3_LANES 8
namespace lanes8 {
#include "blake3_lanes.inc.hh"
}
#undef BLAKE3_LANES
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl")
#define BLAKE3_LANES 16
namespace lanes16 {
#include "blake3_lanes.inc.hh"
}
#undef BLAKE3_LANES
#pragma GCC pop_options
#endif

/** Hashes as many of count inputs as fill lanes, and returns how many. */
size_t HashMany(const uint8_t* input, size_t stride, const Blake3Inputs& what, size_t count, uint64_t counter,
                unsigned lanes_max, Blake3Value* out) {
  size_t done = 0;
  const auto fill = [&](unsigned lanes, auto hash) {
    if (lanes > lanes_max) return;
    for (; done + lanes <= count; done += lanes) {
      hash(input + done * stride, stride, what, counter + (what.count_up ? done : 0), out + done);
    }
  };
#ifdef MEMBROKER_WIDE_LANES
  static const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                             __builtin_cpu_supports("avx512vl");
  static const bool avx2 = __builtin_cpu_supports("avx2");
  if (avx512) fill(lanes16::kLanes, lanes16::HashLanes);
  if (avx2) fill(lanes8::kLanes, lanes8::HashLanes);
#endif
  fill(lanes4::kLanes, lanes4::HashLanes);
  return done;
}

}  // namespace

void Blake3Chunks(const uint8_t* data, size_t length, uint64_t counter, bool root, Blake3Value* out,
                  unsigned lanes_max) {
  size_t index = root ? 0 : HashMany(data, kBlake3ChunkBytes, kChunks, length / kBlake3ChunkBytes, counter,
                                     lanes_max, out);
  for (size_t done = index * kBlake3ChunkBytes; done < length || index == 0; done += kBlake3ChunkBytes, index++) {
    const size_t bytes = std::min(kBlake3ChunkBytes, length - done);
    out[index] = HashChunk(data + done, bytes, counter + index, root ? kRoot : 0);
  }
}

/**
 * Joins level by level, two and two, and leaves an odd one for the next level: that makes the tree in which every left
 * side is the largest power of two.
 */
Blake3Value Blake3Join(std::vector<Blake3Value>& values, bool root, unsigned lanes_max) {
  for (size_t count = values.size(); count > 1; count = (count + 1) / 2) {
    const size_t pairs = count / 2;
    const auto* input = reinterpret_cast<const uint8_t*>(values.data());
    const bool top = count == 2;
    // In place: a lane's output lies before, or is, the input of the same lanes, and HashLanes has read that by then.
    size_t pair = top ? 0 : HashMany(input, kBlockBytes, kParents, pairs, 0, lanes_max, values.data());
    for (; pair < pairs; pair++) {
      Blake3Value value;
      memcpy(value.words, kInitial, sizeof(value.words));
      Compress(&value, input + pair * kBlockBytes, kBlockBytes, 0, kParent | (top && root ? kRoot : 0));
      values[pair] = value;
    }
    if (count % 2 == 1) values[pairs] = values[count - 1];
  }
  return values[0];
}

Blake3Value Blake3(const uint8_t* data, size_t length, unsigned lanes_max) {
  std::vector<Blake3Value> chunks(std::max<size_t>(1, (length + kBlake3ChunkBytes - 1) / kBlake3ChunkBytes));
  Blake3Chunks(data, length, 0, chunks.size() == 1, chunks.data(), lanes_max);
  return Blake3Join(chunks, chunks.size() > 1, lanes_max);
}

}  // namespace membroker
