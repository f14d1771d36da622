// The least that making device-DAX instances takes: the writes to sysfs alone, nothing checked that need not be.
//   dax_instances REGION START BYTES COUNT REST
// REGION is the directory with dax_region in it; the instances, of BYTES each, lie one after the other from the physical
// address START (hexadecimal) on. It begins after REST milliseconds in which it does nothing, awake. Prints the nanoseconds
// that each took, and removes the instances again.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DRIVER "/sys/bus/dax/drivers/device_dax/"

enum { kNameBytes = 64, kPathBytes = 512, kInstancesMax = 256 };

static const char* region;

_Noreturn static void fail(const char* what) {
  fprintf(stderr, "dax_instances: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void put(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) fail(path);
  close(fd);
}

static void put_at(const char* device, const char* file, const char* text) {
  char path[kPathBytes];
  snprintf(path, sizeof path, "%s/%.*s/%s", region, kNameBytes - 1, device, file);
  put(path, text);
}

static void make(char name[kNameBytes], uint64_t start, uint64_t bytes) {
  char path[kPathBytes], extent[kNameBytes];
  put_at("dax_region", "create", "1");
  snprintf(path, sizeof path, "%s/dax_region/seed", region);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t length = fd < 0 ? -1 : read(fd, name, kNameBytes - 1);
  if (length < 2) fail(path);
  close(fd);
  name[length - 1] = 0;
  snprintf(extent, sizeof extent, "%" PRIx64 "-%" PRIx64, start, start + bytes - 1);
  put_at(name, "mapping", extent);
  put(DRIVER "new_id", name);
}

static void unmake(const char* name) {
  put(DRIVER "unbind", name);
  put_at(name, "size", "0");
  put(DRIVER "remove_id", name);
  put_at("dax_region", "delete", name);
}

int main(int argc, char** argv) {
  if (argc != 6) {
    fputs("usage: dax_instances REGION START BYTES COUNT REST\n", stderr);
    return 2;
  }
  region = argv[1];
  const uint64_t start = strtoull(argv[2], NULL, 16), bytes = strtoull(argv[3], NULL, 0);
  const int count = atoi(argv[4]);
  static char names[kInstancesMax][kNameBytes];
  if (count < 1 || count > kInstancesMax) {
    errno = EINVAL;
    fail(argv[4]);
  }
  for (const uint64_t awake = now() + strtoull(argv[5], NULL, 0) * 1000000; now() < awake;);
  uint64_t times[kInstancesMax];
  for (int index = 0; index < count; index++) {
    const uint64_t from = now();
    make(names[index], start + bytes * (uint64_t)index, bytes);
    times[index] = now() - from;
  }
  for (int index = 0; index < count; index++) {
    printf("%" PRIu64 "\n", times[index]);
    unmake(names[index]);
  }
  return 0;
}
