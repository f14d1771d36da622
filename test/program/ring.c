/*
 * A process that keeps a file by an io_uring alone: `ring` registers its descriptor 3, closes it, and says "ready", or
 * "refused ERRNO"; on a line of input it reads 4 bytes of the file through the ring and prints them. Ends with its input.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail(void) {
  printf("refused %d\n", errno);
  fflush(stdout);
  return 1;
}

int main(void) {
  struct io_uring_params parameters;
  memset(&parameters, 0, sizeof(parameters));
  int ring = (int)syscall(SYS_io_uring_setup, 1, &parameters);
  if (ring < 0) return fail();
  int file = 3;
  if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &file, 1) < 0) return fail();
  close(file);
  size_t sq_bytes = parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned);
  size_t cq_bytes = parameters.cq_off.cqes + parameters.cq_entries * sizeof(struct io_uring_cqe);
  char *sq = mmap(NULL, sq_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  char *cq = mmap(NULL, cq_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
  struct io_uring_sqe *entry =
      mmap(NULL, sizeof(*entry), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
  if (sq == MAP_FAILED || cq == MAP_FAILED || entry == MAP_FAILED) return fail();
  puts("ready");
  fflush(stdout);
  char line[16];
  while (fgets(line, sizeof(line), stdin)) {
    char bytes[5] = {0};
    memset(entry, 0, sizeof(*entry));
    entry->opcode = IORING_OP_READ;
    entry->flags = IOSQE_FIXED_FILE;
    entry->fd = 0;
    entry->addr = (unsigned long)bytes;
    entry->len = 4;
    unsigned *tail = (unsigned *)(sq + parameters.sq_off.tail);
    ((unsigned *)(sq + parameters.sq_off.array))[0] = 0;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0) return fail();
    unsigned *head = (unsigned *)(cq + parameters.cq_off.head);
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    puts(bytes);
    fflush(stdout);
  }
  return 0;
}
