/* Preloaded into a broker: its kernel has no SO_PEERPIDFD, as those before 6.5. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

enum { so_peerpidfd = 77 };

int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict bytes) {
    if (level == SOL_SOCKET && option == so_peerpidfd) {
        errno = ENOPROTOOPT;
        return -1;
    }
    int (*next)(int, int, int, void *, socklen_t *) =
        (int (*)(int, int, int, void *, socklen_t *))dlsym(RTLD_NEXT, "getsockopt");
    return next(fd, level, option, value, bytes);
}
