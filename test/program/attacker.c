/*
 * What an unfriendly client can do with system calls that Node does not have. The descriptor it works on is 3, as a
 * client of the broker was granted it. Tests start it through attacker.ts.
 *
 *   attacker hold               keep 3; each line: write into it
 *   attacker hidden             the same, and /proc says that this process is root's
 *   attacker lease              take a write lease on 3 and ignore that somebody waits for its end
 *   attacker path               keep 3 only as O_PATH; each line: open it again by /proc and write
 *   attacker link NAME          give the file of 3 a second name
 *   attacker mark               give the file of 3 an attribute (tmpfs has those since 6.6) and an access list
 *   attacker attributes         say which of both the file of 3 has instead of "ready"
 *   attacker park               keep 3 only in flight, in a socket that nobody reads; each line: take it out and write
 *   attacker give SOCKET        pass 3 to who listens there, and exit
 *   attacker take SOCKET        listen, keep what is passed; ready twice: listening, and with a descriptor
 *   attacker hoard BYTES        keep memory beyond the end of 3
 *   attacker resize COUNT       truncate 3 and those after it, over and over
 *   attacker scribble COUNT     write into 3 and those after it, over and over
 *   attacker heir SOCKET CALL [LATER]
 *                               send a call as a process that is gone at once, and keep its connection; the first
 *                               line: send LATER; each: the replies so far, NUL as newline, then an empty line
 *   attacker urgent SOCKET      connect, and send a byte out of band; each line: "done" when the other side has closed
 *   attacker reborn PID UID SOCKET CALL...
 *                               as a new process of that number and uid, send each call and wait for its reply
 *
 * Standard output, a line each: "ready" when all is in place, and one per line of standard input: "done", or
 * "refused N" with the errno. It ends with its standard input.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { target = 3, tries_max = 400 };

static void say(bool good) {
    if (good)
        puts("done");
    else
        printf("refused %d\n", errno);
    fflush(stdout);
}

static void ready(void) {
    puts("ready");
    fflush(stdout);
}

static int refused(void) {
    say(false);
    return 1;
}

static bool next_line(void) {
    char line[64];
    return fgets(line, sizeof line, stdin) != NULL;
}

static bool stdin_ended(void) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

static bool scrawl(int fd) {
    return pwrite(fd, "EVIL", 4, 0) == 4;
}

static int open_again(int fd, int flags) {
    char name[32];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return open(name, flags | O_CLOEXEC);
}

static struct sockaddr_un address_of(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    return address;
}

static int connect_to(const char *path) {
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    return -1;
}

union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr header;
};

static bool send_fd(int socket, int fd) {
    struct iovec byte = {.iov_base = "x", .iov_len = 1};
    union control control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)}};
    struct msghdr message = {
        .msg_iov = &byte, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    return sendmsg(socket, &message, 0) == 1;
}

static int receive_fd(int socket) {
    char byte;
    struct iovec into = {.iov_base = &byte, .iov_len = 1};
    union control control;
    struct msghdr message = {
        .msg_iov = &into, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    int fd = -1;
    if (recvmsg(socket, &message, 0) == 1 && CMSG_FIRSTHDR(&message) != NULL)
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

static int hold(void) {
    ready();
    while (next_line()) say(scrawl(target));
    return 0;
}

static int hidden(void) {
    if (prctl(PR_SET_DUMPABLE, 0) != 0) return refused();
    return hold();
}

static int lease(void) {
    signal(SIGIO, SIG_IGN);
    if (fcntl(target, F_SETLEASE, F_WRLCK) != 0) return refused();
    return hold();
}

static int path(void) {
    int fd = open_again(target, O_PATH);
    if (fd < 0) return refused();
    close(target);
    ready();
    while (next_line()) {
        int again = open_again(fd, O_RDWR);
        say(again >= 0 && scrawl(again));
        if (again >= 0) close(again);
    }
    return 0;
}

static int second_name(const char *name) {
    char source[32];
    snprintf(source, sizeof source, "/proc/self/fd/%d", target);
    if (linkat(AT_FDCWD, source, AT_FDCWD, name, AT_SYMLINK_FOLLOW) != 0) return refused();
    ready();
    return 0;
}

static int mark(void) {
    /* struct posix_acl_xattr: the owner, the uid that the owner has chosen, the group, the mask, others. */
    static const struct {
        uint32_t version;
        struct {
            uint16_t tag, permissions;
            uint32_t id;
        } entries[5];
    } list = {2, {{1, 6, -1u}, {2, 6, 65533}, {4, 0, -1u}, {16, 6, -1u}, {32, 0, -1u}}};
    if (fsetxattr(target, "user.mark", "left", 4, 0) != 0 && errno != EOPNOTSUPP) return refused();
    if (fsetxattr(target, "system.posix_acl_access", &list, sizeof(list), 0) != 0) return refused();
    ready();
    return 0;
}

static int attributes(void) {
    char names[4096];
    ssize_t length = flistxattr(target, names, sizeof(names));
    if (length < 0) return refused();
    printf("has");
    for (char *name = names; name < names + length; name += strlen(name) + 1)
        if (strncmp(name, "security.", 9) != 0) printf(" %s", name);
    puts("");
    fflush(stdout);
    return 0;
}

static int park(void) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || !send_fd(ends[0], target)) return refused();
    close(target);
    ready();
    while (next_line()) {
        int fd = receive_fd(ends[1]);
        say(fd >= 0 && scrawl(fd));
    }
    return 0;
}

static int give(const char *socket) {
    int fd = connect_to(socket);
    if (fd < 0 || !send_fd(fd, target)) return refused();
    ready();
    return 0;
}

static int take(const char *path) {
    struct sockaddr_un address = address_of(path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0) return refused();
    if (chmod(path, 0777) != 0 || listen(listener, 1) != 0) return refused();
    ready();
    int fd = receive_fd(accept(listener, NULL, NULL));
    if (fd < 0) return refused();
    ready();
    while (next_line()) say(scrawl(fd));
    return 0;
}

static int hoard(off_t bytes) {
    if (fallocate(target, FALLOC_FL_KEEP_SIZE, 0, bytes) != 0) return refused();
    return hold();
}

static int resize(int count) {
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    ready();
    while (!stdin_ended()) {
        for (int fd = target; fd < target + count; fd++)
            if (ftruncate(fd, 0) != 0) return refused();
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int scribble(int count) {
    ready();
    while (!stdin_ended())
        for (int round = 0; round < 1000; round++)
            for (int fd = target; fd < target + count; fd++)
                if (!scrawl(fd)) return refused();
    return 0;
}

static bool send_call(int fd, const char *call) {
    size_t bytes = strlen(call) + 1;
    return send(fd, call, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
}

/* The connection is that of the process that made it: the kernel remembers its number when it is long gone. */
static int heir(const char *socket, const char *call, const char *later) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return refused();
    pid_t first = fork();
    if (first == 0) {
        int fd = connect_to(socket);
        _exit(fd >= 0 && send_call(fd, call) && send_fd(ends[0], fd) ? 0 : 1);
    }
    int status;
    if (first < 0 || waitpid(first, &status, 0) != first || status != 0) return refused();
    int fd = receive_fd(ends[1]);
    if (fd < 0) return refused();
    printf("ready %d\n", first);
    fflush(stdout);
    while (next_line()) {
        if (later != NULL && !send_call(fd, later)) return refused();
        later = NULL;
        char bytes[65536];
        ssize_t count;
        while ((count = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
            for (ssize_t index = 0; index < count; index++) putchar(bytes[index] == 0 ? '\n' : bytes[index]);
        putchar('\n');
        fflush(stdout);
    }
    return 0;
}

static int urgent(const char *socket) {
    int fd = connect_to(socket);
    if (fd < 0 || send(fd, "x", 1, MSG_OOB) != 1) return refused();
    ready();
    while (next_line()) {
        char byte;
        say(recv(fd, &byte, 1, 0) < 1);
    }
    return 0;
}

static int converse(uid_t uid, const char *socket, char **calls) {
    if (setgid(uid) != 0 || setuid(uid) != 0) return refused();
    int fd = connect_to(socket);
    if (fd < 0) return refused();
    for (; *calls != NULL; calls++) {
        char byte = 'x';
        if (!send_call(fd, *calls)) return refused();
        while (byte != 0)
            if (recv(fd, &byte, 1, 0) != 1) return refused();
    }
    ready();
    next_line();
    return 0;
}

/* The number after the last one given out is the next; another process may be quicker. */
static int reborn(pid_t wanted, uid_t uid, const char *socket, char **calls) {
    for (int tries = 0; tries < tries_max; tries++) {
        FILE *last = fopen("/proc/sys/kernel/ns_last_pid", "w");
        if (last == NULL) return refused();
        fprintf(last, "%d", wanted - 1);
        fclose(last);
        pid_t child = fork();
        if (child == 0) exit(getpid() == wanted ? converse(uid, socket, calls) : 7);
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child) return refused();
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) return status == 0 ? 0 : 1;
    }
    errno = EAGAIN;
    return refused();
}

int main(int count, char **words) {
    const char *command = count > 1 ? words[1] : "";
    if (strcmp(command, "hold") == 0) return hold();
    if (strcmp(command, "hidden") == 0) return hidden();
    if (strcmp(command, "lease") == 0) return lease();
    if (strcmp(command, "path") == 0) return path();
    if (strcmp(command, "mark") == 0) return mark();
    if (strcmp(command, "attributes") == 0) return attributes();
    if (strcmp(command, "park") == 0) return park();
    if (count == 3 && strcmp(command, "link") == 0) return second_name(words[2]);
    if (count == 3 && strcmp(command, "give") == 0) return give(words[2]);
    if (count == 3 && strcmp(command, "take") == 0) return take(words[2]);
    if (count == 3 && strcmp(command, "hoard") == 0) return hoard(atoll(words[2]));
    if (count == 3 && strcmp(command, "resize") == 0) return resize(atoi(words[2]));
    if (count == 3 && strcmp(command, "scribble") == 0) return scribble(atoi(words[2]));
    if ((count == 4 || count == 5) && strcmp(command, "heir") == 0) return heir(words[2], words[3], words[4]);
    if (count == 3 && strcmp(command, "urgent") == 0) return urgent(words[2]);
    if (count > 5 && strcmp(command, "reborn") == 0)
        return reborn(atoi(words[2]), (uid_t)atoi(words[3]), words[4], words + 5);
    fprintf(stderr, "attacker: what '%s' is, is at the top of attacker.c\n", command);
    return 2;
}
