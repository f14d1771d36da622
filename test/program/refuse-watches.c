/*
 * Preloaded into a program: the kernel has no room for one more watched descriptor (epoll_ctl: ENOSPC, as at
 * fs.epoll.max_user_watches). The file REFUSE_WATCHES, one digit, says which: 1 is the next. It is gone once read.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static int left;

static void take(void) {
    const char *const file = getenv("REFUSE_WATCHES");
    const int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    char digit = '0';
    if (fd < 0) return;
    if (read(fd, &digit, 1) == 1) left = digit - '0';
    close(fd);
    unlink(file);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    if (operation == EPOLL_CTL_ADD) {
        if (left == 0) take();
        if (left > 0 && --left == 0) {
            errno = ENOSPC;
            return -1;
        }
    }
    int (*next)(int, int, int, struct epoll_event *) =
        (int (*)(int, int, int, struct epoll_event *))dlsym(RTLD_NEXT, "epoll_ctl");
    return next(epoll, operation, fd, event);
}
