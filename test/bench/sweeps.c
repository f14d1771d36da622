// The quickest this machine fills and reads memory, on so many threads: non-temporal stores, and loads that the processor
// fetches ahead. A library, so that the broker's sweeps and these use the same memory of the same process in turns.
#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

struct part {
  char* begin;
  uint64_t bytes;
  int write;
  uint64_t sum;
};

static void* sweep(void* argument) {
  struct part* const part = argument;
  const __m128i zero = _mm_setzero_si128();
  __m128i sum = zero;
  for (uint64_t at = 0; at < part->bytes; at += 64) {
    __m128i* const line = (__m128i*)(part->begin + at);
    if (part->write) {
      for (int word = 0; word < 4; word++) _mm_stream_si128(line + word, zero);
    } else {
      for (int word = 0; word < 4; word++) sum = _mm_xor_si128(sum, _mm_load_si128(line + word));
    }
  }
  _mm_sfence();
  part->sum = (uint64_t)_mm_cvtsi128_si64(sum);
  return NULL;
}

/** Nanoseconds, with mapping and unmapping, as the broker's sweeps map; 0 where it fails. bytes: a multiple of 64 threads. */
uint64_t sweeps_pass(int fd, uint64_t bytes, int write, int threads) {
  struct timespec from, to;
  struct part parts[64];
  pthread_t ids[64];
  clock_gettime(CLOCK_MONOTONIC, &from);
  char* const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (memory == MAP_FAILED || threads > 64) return 0;
  for (int i = 0; i < threads; i++) {
    parts[i] = (struct part){memory + bytes / (uint64_t)threads * (uint64_t)i, bytes / (uint64_t)threads, write, 0};
    if (pthread_create(&ids[i], NULL, sweep, &parts[i])) return 0;
  }
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  munmap(memory, bytes);
  clock_gettime(CLOCK_MONOTONIC, &to);
  return (uint64_t)(to.tv_sec - from.tv_sec) * 1000000000u + (uint64_t)to.tv_nsec - (uint64_t)from.tv_nsec;
}
