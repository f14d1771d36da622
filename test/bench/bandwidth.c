// A C program's mapping of a descriptor, and one pass over mapped memory: a library, so that the client's mapping and this
// one are used by the same code in the same process, and differ in nothing but how they were made.
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/** The address; 0 where it fails. */
uint64_t bandwidth_map(int fd, uint64_t offset, uint64_t bytes) {
  void* const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
  return memory == MAP_FAILED ? 0 : (uint64_t)(uintptr_t)memory;
}

void bandwidth_unmap(uint64_t address, uint64_t bytes) { munmap((void*)(uintptr_t)address, bytes); }

/** Fills the memory with a value (write not 0), or copies it out. Nanoseconds; 0 without memory for the copy. */
uint64_t bandwidth_pass(int write, uint64_t address, uint64_t bytes, int value) {
  static void* copy;
  static uint64_t copy_bytes;
  if (copy_bytes != bytes) {
    free(copy);
    copy = malloc(bytes);
    copy_bytes = copy ? bytes : 0;
    if (!copy) return 0;
    memset(copy, 1, bytes);
  }
  void* const memory = (void*)(uintptr_t)address;
  const uint64_t from = now();
  if (write)
    memset(memory, value, bytes);
  else
    memcpy(copy, memory, bytes);
  // So that the compiler can't leave the copy out.
  __asm__ volatile("" : : "r"(copy), "r"(memory) : "memory");
  return now() - from;
}
