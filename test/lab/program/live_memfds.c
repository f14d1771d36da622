// The least that keeping memfds over kexec takes: the ioctls of the Live Update Orchestrator alone, nothing checked that need not
// be. Sessions are NAME-0, NAME-1, ..., each with as many memfds; by default as many sessions as memfds.
//   live_memfds preserve NAME BYTES COUNT [SESSIONS]   makes COUNT memfds of BYTES each, filled, and says "filled"; then for each
//                                                      line that it reads: "round" preserves all and undoes it, "hold" preserves
//                                                      all. Prints the nanoseconds of the preserving. Ends with its input, but for
//                                                      what it holds.
//   live_memfds retrieve NAME COUNT [SESSIONS]         takes them out of the kernel before, and prints the nanoseconds; then
//                                                      preserves them again, and prints those.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

// As linux/liveupdate.h of Linux 7.2 has them.
struct named {
  uint32_t size;
  int32_t fd;
  char name[64];
};
struct token {
  uint32_t size;
  int32_t fd;
  uint64_t token __attribute__((aligned(8)));
};
struct finish {
  uint32_t size;
  uint32_t reserved;
};
enum { kCreate = _IO(0xBA, 0x00), kRetrieveSession = _IO(0xBA, 0x01), kMax = 1024 };
enum { kPreserve = _IO(0xBA, 0x40), kRetrieve = _IO(0xBA, 0x41), kFinish = _IO(0xBA, 0x42) };

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

static int files[kMax], sessions[kMax];
static int file_count, session_count;

static void die(const char* what) {
  perror(what);
  exit(1);
}

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int session(int device, unsigned long request, const char* name, int index) {
  struct named argument = {.size = sizeof(argument)};
  snprintf(argument.name, sizeof(argument.name), "%s-%d", name, index);
  if (ioctl(device, request, &argument) < 0) die(argument.name);
  return argument.fd;
}

static int opened(void) {
  const int device = open("/dev/liveupdate", O_RDWR | O_CLOEXEC);
  if (device < 0) die("/dev/liveupdate");
  return device;
}

static void open_sessions(unsigned long request, const char* name) {
  const int device = opened();
  for (int index = 0; index < session_count; index++) sessions[index] = session(device, request, name, index);
  close(device);
}

/** Files have their turns by session: so a file's token is the number of those before it in its session. */
static struct token of_file(int index) {
  return (struct token){.size = sizeof(struct token), .fd = files[index], .token = (uint64_t)(index / session_count)};
}

static long long preserve(const char* name) {
  const long long from = now();
  open_sessions(kCreate, name);
  for (int index = 0; index < file_count; index++) {
    struct token argument = of_file(index);
    if (ioctl(sessions[index % session_count], kPreserve, &argument) < 0) die("preserve");
  }
  return now() - from;
}

static void close_sessions(void) {
  for (int index = 0; index < session_count; index++) close(sessions[index]);
}

static long long retrieve(const char* name) {
  const long long from = now();
  open_sessions(kRetrieveSession, name);
  for (int index = 0; index < file_count; index++) {
    struct token argument = of_file(index);
    if (ioctl(sessions[index % session_count], kRetrieve, &argument) < 0) die("retrieve");
    files[index] = argument.fd;
  }
  for (int index = 0; index < session_count; index++) {
    struct finish end = {.size = sizeof(end)};
    if (ioctl(sessions[index], kFinish, &end) < 0) die("finish");
  }
  close_sessions();
  return now() - from;
}

static int made(size_t bytes) {
  const int fd = memfd_create("live", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0) die("memfd_create");
  void* const data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) die("mmap");
  memset(data, 0x5a, bytes);
  munmap(data, bytes);
  return fd;
}

int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  const int takes = argc >= 4 && strcmp(argv[1], "retrieve") == 0;
  const int counts = takes ? 3 : 4;
  if (argc <= counts || (!takes && strcmp(argv[1], "preserve") != 0)) return 2;
  file_count = atoi(argv[counts]);
  session_count = argc > counts + 1 ? atoi(argv[counts + 1]) : file_count;
  if (file_count > kMax || session_count < 1 || session_count > file_count) return 2;
  const struct rlimit many = {4 * kMax, 4 * kMax};
  setrlimit(RLIMIT_NOFILE, &many);
  if (takes) {
    printf("%lld\n", retrieve(argv[2]));
    printf("%lld\n", preserve(argv[2]));
    return 0;
  }
  for (int index = 0; index < file_count; index++) files[index] = made(strtoull(argv[3], NULL, 0));
  printf("filled\n");
  char line[16];
  while (fgets(line, sizeof(line), stdin)) {
    printf("%lld\n", preserve(argv[2]));
    if (strcmp(line, "hold\n") == 0)
      for (;;) pause();
    close_sessions();
  }
  return 0;
}
