// The memory bandwidth of a descriptor's memory: bandwidth FD OFFSET BYTES
// Maps it, and for each line on standard input, "write" or "read", fills it or copies it out once, by the C library, and
// prints the nanoseconds that took.
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

_Noreturn static void fail(const char* what) {
  fprintf(stderr, "bandwidth: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int main(int argc, char** argv) {
  if (argc != 4) {
    fputs("usage: bandwidth FD OFFSET BYTES\n", stderr);
    return 2;
  }
  const size_t bytes = strtoull(argv[3], NULL, 0);
  void* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[1]), (off_t)strtoll(argv[2], NULL, 0));
  if (memory == MAP_FAILED) fail("mmap");
  void* copy = malloc(bytes);
  if (!copy) fail("malloc");
  memset(copy, 1, bytes);
  char line[16];
  for (int value = 0; fgets(line, sizeof line, stdin); value++) {
    const uint64_t from = now();
    if (line[0] == 'w')
      memset(memory, value & 0xff, bytes);
    else
      memcpy(copy, memory, bytes);
    const uint64_t took = now() - from;
    // So that the compiler can't leave the copy out.
    if (((volatile char*)copy)[bytes / 2] == 2) fputs("", stderr);
    printf("%" PRIu64 "\n", took);
    fflush(stdout);
  }
  return 0;
}
