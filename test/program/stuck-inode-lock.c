/*
 * A holder that keeps the lock of its file's inode for as long as it lives: it writes to the file from a page whose fault
 * is never answered, and the kernel has taken the lock by then. Whoever changes the file's size, owner or mode, or
 * allocates for it, waits. A program without any right does it with a file of a FUSE filesystem of its own as the page;
 * this one begins as root, because userfaultfd takes less. Tests start it by stuck-inode-lock.ts.
 *
 *   stuck-inode-lock UID PID FD
 *
 * As that uid, on the file of descriptor FD of process PID. Standard output, one line: "ready" when the lock is held,
 * otherwise "refused WHAT". It ends with its standard input, or after five minutes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { page = 4096, life_ms = 300000, start_ms = 10000 };

static void *memory;
static int file;

static int refused(const char *what) {
    printf("refused %s: %s\n", what, strerror(errno));
    return 1;
}

static void *write_for_ever(void *unused) {
    (void)unused;
    if (pwrite(file, memory, page, 0) != page) _exit(refused("pwrite"));
    return NULL;
}

int main(int count, char **words) {
    if (count != 4) return 2;
    int pidfd = (int)syscall(SYS_pidfd_open, atoi(words[2]), 0);
    file = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(words[3]), 0);
    if (file < 0) return refused("pidfd_getfd");
    // A userfaultfd that may block is always ready to poll, with POLLERR: then nothing would be waited for.
    int faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    struct uffdio_api api = {.api = UFFD_API};
    if (faults < 0 || ioctl(faults, UFFDIO_API, &api) != 0) return refused("userfaultfd");
    memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return refused("mmap");
    struct uffdio_register range = {
        .range = {.start = (unsigned long)memory, .len = page}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (ioctl(faults, UFFDIO_REGISTER, &range) != 0) return refused("UFFDIO_REGISTER");
    if (setgid((gid_t)atoi(words[1])) != 0 || setuid((uid_t)atoi(words[1])) != 0) return refused("setuid");
    pthread_t writer;
    if (pthread_create(&writer, NULL, write_for_ever, NULL) != 0) return refused("pthread_create");
    struct pollfd fault = {.fd = faults, .events = POLLIN};
    if (poll(&fault, 1, start_ms) != 1 || fault.revents != POLLIN) return refused("waiting for the fault");
    puts("ready");
    fflush(stdout);
    struct pollfd input = {.fd = 0, .events = POLLIN};
    poll(&input, 1, life_ms);
    return 0;
}
