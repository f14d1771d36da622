// Holds memory in the ways a client can: holder FD BYTES [WAY...]
//   stay      (default) keeps the mapping and the descriptor, and reads the memory all the time
//   child     a second process has both; this one ends
//   uring     registers the first 2 MiB as io_uring fixed buffers
//   vmsplice  puts the first page into a pipe
//   poison    makes the kernel believe that the page at 2 MiB is bad; the process is root's
//   vfio      maps the first 2 MiB for DMA by the device in the only group of /dev/vfio
//   shrink    truncates the file to nothing, again and again, and keeps the descriptor
//   close     then unmaps and closes: what is left is only pinned
// Says on standard output what happens to it, one word and maybe a number a line.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { kStepBytes = 2 << 20, kSeed = 0x5a };

static sigjmp_buf fault;

static volatile int fault_code, fault_bits;

static void onFault(int signal, siginfo_t* info, void* context) {
  (void)signal;
  (void)context;
  fault_code = info->si_code;
  fault_bits = info->si_code > 3 ? info->si_addr_lsb : 0;
  siglongjmp(fault, 1);
}

static void say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
  fflush(stdout);
}

static void registerBuffers(void* data) {
  struct io_uring_params parameters;
  memset(&parameters, 0, sizeof(parameters));
  const int ring = (int)syscall(SYS_io_uring_setup, 4, &parameters);
  if (ring < 0) {
    say("noring %d", errno);
    return;
  }
  struct iovec buffer = {data, kStepBytes};
  if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1) < 0) {
    say("refused %d", errno);
    close(ring);
    return;
  }
  say("registered");
}

static void splice_(void* data) {
  int ends[2];
  struct iovec page = {data, 4096};
  if (pipe(ends) < 0 || vmsplice(ends[1], &page, 1, 0) < 0) {
    say("refused %d", errno);
    return;
  }
  say("spliced");
}

static int openGroup(void) {
  DIR* const folder = opendir("/dev/vfio");
  int group = -1;
  for (struct dirent* entry; folder && group < 0 && (entry = readdir(folder));) {
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') group = openat(dirfd(folder), entry->d_name, O_RDWR);
  }
  if (folder) closedir(folder);
  return group;
}

static void mapForDma(void* data) {
  const int container = open("/dev/vfio/vfio", O_RDWR);
  const int group = openGroup();
  struct vfio_iommu_type1_dma_map map = {
      .argsz = sizeof(map),
      .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
      .vaddr = (unsigned long)data,
      .iova = 0x10000000,
      .size = kStepBytes,
  };
  if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) < 0 ||
      ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0 || ioctl(container, VFIO_IOMMU_MAP_DMA, &map) < 0) {
    say("refused %d", errno);
    return;
  }
  say("pinned");
}

static int has(int argc, char** argv, const char* way) {
  for (int index = 3; index < argc; index++) {
    if (strcmp(argv[index], way) == 0) return 1;
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int fd = atoi(argv[1]);
  const size_t bytes = strtoull(argv[2], NULL, 0);
  volatile unsigned char* data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) {
    say("mmap %d", errno);
    return 1;
  }
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  action.sa_sigaction = onFault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, NULL);
  for (size_t offset = 0; offset < bytes; offset += 4096) data[offset] = kSeed;
  if (has(argc, argv, "uring")) registerBuffers((void*)data);
  if (has(argc, argv, "vmsplice")) splice_((void*)data);
  if (has(argc, argv, "vfio")) mapForDma((void*)data);
  if (has(argc, argv, "shrink")) {
    munmap((void*)data, bytes);
    say("holding %d", getpid());
    for (;; usleep(500)) {
      if (ftruncate(fd, 0) < 0) say("refused %d", errno);
    }
  }
  if (has(argc, argv, "child")) {
    const pid_t child = fork();
    if (child != 0) return child < 0;
    setsid();
  }
  if (has(argc, argv, "close")) {
    munmap((void*)data, bytes);
    close(fd);
    say("closed %d", getpid());
    for (;;) pause();
  }
  say("holding %d", getpid());
  if (sigsetjmp(fault, 1) == 0) {
    if (has(argc, argv, "poison")) {
      // Where it works the signal comes before the call returns.
      say("refused %d", madvise((char*)data + kStepBytes, 4096, MADV_HWPOISON) < 0 ? errno : 0);
    }
    for (;;) {
      for (size_t offset = 0; offset < bytes; offset += kStepBytes) {
        if (data[offset] != kSeed) say("changed %zu", offset);
      }
      usleep(1000);
    }
  }
  say("sigbus");
  say("fault %d %d", fault_code, fault_bits);
  say("mmap %d", mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? errno : 0);
  close(fd);
  for (;;) pause();
}
