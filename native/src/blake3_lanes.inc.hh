// BLAKE3 of several inputs at once, one in each lane of a vector. blake3.cc includes this once for each instruction
// set, inside a namespace and under its target pragma: the compiler takes the vectors of a function without the target
// apart before it inlines that. The includer defines BLAKE3_LANES.

constexpr int kLanes = BLAKE3_LANES;

typedef uint32_t Words __attribute__((vector_size(4 * kLanes)));

inline Words Splat(uint32_t value) { return value - Words{}; }

/** Lane i of the result is element mask[i] of a followed by b. */
inline void Shuffle(Words& to, const Words& a, const Words& b, const Words& mask) {
#ifdef __clang__
  Words result;
  for (int lane = 0; lane < kLanes; lane++) {
    result[lane] = mask[lane] < uint32_t{kLanes} ? a[mask[lane]] : b[mask[lane] - kLanes];
  }
  to = result;
#else
  to = __builtin_shuffle(a, b, mask);
#endif
}

/** One step of turning rows into columns: swaps blocks of step * step words across the diagonal. */
template <int kStep>
inline void TransposeStep(Words* rows) {
  Words low, high;
  for (int lane = 0; lane < kLanes; lane++) {
    low[lane] = lane & kStep ? kLanes + lane - kStep : lane;
    high[lane] = lane & kStep ? kLanes + lane : lane + kStep;
  }
  for (int row = 0; row < kLanes; row++) {
    if (row & kStep) continue;
    const Words a = rows[row], b = rows[row + kStep];
    Shuffle(rows[row], a, b, low);
    Shuffle(rows[row + kStep], a, b, high);
  }
}

/** message[w] gets word w of the block at input + lane * stride. */
inline void LoadBlocks(const uint8_t* input, size_t stride, Words* message) {
  for (int part = 0; part < 16; part += kLanes) {
    Words* rows = message + part;
    for (int lane = 0; lane < kLanes; lane++) {
      memcpy(&rows[lane], input + lane * stride + 4 * part, sizeof(Words));
    }
    TransposeStep<1>(rows);
    TransposeStep<2>(rows);
    if constexpr (kLanes > 4) TransposeStep<4 % kLanes>(rows);
    if constexpr (kLanes > 8) TransposeStep<8 % kLanes>(rows);
  }
}

template <int kBits>
inline void XorRotate(Words& word, const Words& other) {
  const Words mixed = word ^ other;
  word = (mixed >> kBits) | (mixed << (32 - kBits));
}

inline void Mix(Words& a, Words& b, Words& c, Words& d, const Words& x, const Words& y) {
  a += b + x;
  XorRotate<16>(d, a);
  c += d;
  XorRotate<12>(b, c);
  a += b + y;
  XorRotate<8>(d, a);
  c += d;
  XorRotate<7>(b, c);
}

template <int kRound>
inline __attribute__((always_inline)) void Round(Words* v, const Words* m) {
  constexpr const uint8_t* s = kSchedule[kRound];
  Mix(v[0], v[4], v[8], v[12], m[s[0]], m[s[1]]);
  Mix(v[1], v[5], v[9], v[13], m[s[2]], m[s[3]]);
  Mix(v[2], v[6], v[10], v[14], m[s[4]], m[s[5]]);
  Mix(v[3], v[7], v[11], v[15], m[s[6]], m[s[7]]);
  Mix(v[0], v[5], v[10], v[15], m[s[8]], m[s[9]]);
  Mix(v[1], v[6], v[11], v[12], m[s[10]], m[s[11]]);
  Mix(v[2], v[7], v[8], v[13], m[s[12]], m[s[13]]);
  Mix(v[3], v[4], v[9], v[14], m[s[14]], m[s[15]]);
}

/** Hashes kLanes inputs of whole blocks, stride bytes apart. counter is the first one's; see Blake3Inputs. */
void HashLanes(const uint8_t* input, size_t stride, const Blake3Inputs& what, uint64_t counter, Blake3Value* out) {
  Words h[8];
  for (int i = 0; i < 8; i++) h[i] = Splat(kInitial[i]);
  Words counter_low, counter_high;
  for (int lane = 0; lane < kLanes; lane++) {
    const uint64_t own = counter + (what.count_up ? lane : 0);
    counter_low[lane] = static_cast<uint32_t>(own);
    counter_high[lane] = static_cast<uint32_t>(own >> 32);
  }
  for (unsigned block = 0; block < what.blocks; block++) {
    Words m[16];
    LoadBlocks(input + block * kBlockBytes, stride, m);
    const uint32_t flags = what.flags | (block == 0 ? what.flags_first : 0) |
                           (block + 1 == what.blocks ? what.flags_last : 0);
    Words v[16] = {h[0],
                   h[1],
                   h[2],
                   h[3],
                   h[4],
                   h[5],
                   h[6],
                   h[7],
                   Splat(kInitial[0]),
                   Splat(kInitial[1]),
                   Splat(kInitial[2]),
                   Splat(kInitial[3]),
                   counter_low,
                   counter_high,
                   Splat(kBlockBytes),
                   Splat(flags)};
    Round<0>(v, m);
    Round<1>(v, m);
    Round<2>(v, m);
    Round<3>(v, m);
    Round<4>(v, m);
    Round<5>(v, m);
    Round<6>(v, m);
    for (int i = 0; i < 8; i++) h[i] = v[i] ^ v[i + 8];
  }
  for (int lane = 0; lane < kLanes; lane++) {
    for (int i = 0; i < 8; i++) out[lane].words[i] = h[i][lane];
  }
}
