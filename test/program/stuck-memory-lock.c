/*
 * Processes whose memory lock (mmap_lock) is held for as long as they live, so that who reads their /proc/PID/maps,
 * cmdline, environ or mem waits. They need no rights: where /dev/fuse is open to everybody, a user namespace of their
 * own is enough. This program begins as root, as not every machine has it so. Tests start it by stuck-memory-lock.ts.
 *
 *   stuck-memory-lock WAY UID COUNT [SOCKET]
 *
 * COUNT processes of that uid map files of a FUSE filesystem that this program serves. WAY:
 *   write   map over a dirty page of such a file: the kernel writes the page back under the lock, and the write is never
 *           answered. The lock is held for writing. Linux 6.16 and later.
 *   read    fault on a page whose first reading failed: the second keeps the lock, and is never answered; a second thread
 *           that wants the lock for writing keeps all later readers out. From 6.17 on maps can be read all the same.
 * With SOCKET each connects to it first, and keeps the connection.
 *
 * Standard output, one line: "ready PID...", when a read of each one's cmdline is seen to wait; otherwise "refused WHAT".
 * It ends with its standard input, or after five minutes; the filesystem goes with it, and so all who wait for it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { page = 4096, count_max = 1000, first_node = 2, life_seconds = 300, look_ms = 300, tries_max = 5 };

static const char *const mountpoint = "/mnt";

/* What is asked of the file of each process: that many reads, that many writes. */
static int reads_of[count_max], writes_of[count_max];
static bool reading;
static int fuse;

static void refused(const char *what) {
    printf("refused %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- the filesystem: file N is node first_node + N, one page long ---- */

static struct fuse_attr attributes(uint64_t node) {
    struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = page};
    attr.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0777 : S_IFREG | 0666;
    attr.size = node == FUSE_ROOT_ID ? 0 : page;
    return attr;
}

static void answer(uint64_t unique, int error, const void *body, size_t bytes) {
    char reply[sizeof(struct fuse_out_header) + page];
    struct fuse_out_header header = {.len = sizeof header + bytes, .error = -error, .unique = unique};
    memcpy(reply, &header, sizeof header);
    if (bytes > 0) memcpy(reply + sizeof header, body, bytes);
    if (write(fuse, reply, header.len) < 0 && errno != ENOENT) refused("an answer of the filesystem");
}

static void initialise(const struct fuse_in_header *in) {
    struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = page};
    /* Pages written back are asked for in the background; more than this wait without being asked for. */
    out.max_background = out.congestion_threshold = count_max;
    answer(in->unique, 0, &out, sizeof out);
}

static void look_up(const struct fuse_in_header *in, const char *name) {
    struct fuse_entry_out out = {.nodeid = first_node + atoi(name), .entry_valid = 1000, .attr_valid = 1000};
    out.attr = attributes(out.nodeid);
    answer(in->unique, 0, &out, sizeof out);
}

static void get_attributes(const struct fuse_in_header *in) {
    struct fuse_attr_out out = {.attr_valid = 1000, .attr = attributes(in->nodeid)};
    answer(in->unique, 0, &out, sizeof out);
}

static void read_page(const struct fuse_in_header *in) {
    static const char zeros[page];
    const int earlier = reads_of[in->nodeid - first_node]++;
    if (!reading)
        answer(in->unique, 0, zeros, page);
    else if (earlier == 0)
        answer(in->unique, EIO, NULL, 0);
}

static void serve(void) {
    static char request[FUSE_MIN_READ_BUFFER + 4 * page];
    const struct fuse_in_header *in = (const struct fuse_in_header *)request;
    if (read(fuse, request, sizeof request) < (ssize_t)sizeof *in) return;
    const struct fuse_open_out open = {.open_flags = 0};
    switch (in->opcode) {
        case FUSE_INIT: return initialise(in);
        case FUSE_LOOKUP: return look_up(in, request + sizeof *in);
        case FUSE_GETATTR: return get_attributes(in);
        case FUSE_OPEN: return answer(in->unique, 0, &open, sizeof open);
        case FUSE_READ: return read_page(in);
        case FUSE_WRITE: writes_of[in->nodeid - first_node]++; return;
        case FUSE_FORGET: case FUSE_BATCH_FORGET: case FUSE_INTERRUPT: return;
        default: return answer(in->unique, ENOSYS, NULL, 0);
    }
}

static void mount_filesystem(uid_t uid) {
    char options[128];
    fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fuse < 0) refused("/dev/fuse");
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        refused("a mount namespace");
    snprintf(options, sizeof options, "fd=%d,rootmode=40777,user_id=%d,group_id=%d,allow_other", fuse, uid, uid);
    if (mount("stuck", mountpoint, "fuse", MS_NOSUID | MS_NODEV, options) != 0) refused("mounting");
}

/* ---- a process that gets stuck ---- */

static void *want_lock(void *place) {
    for (int way = PROT_READ; mprotect(place, page, way) == 0; way ^= PROT_WRITE) usleep(1000);
    return NULL;
}

static void keep_connection(const char *socket_path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, socket_path, sizeof address.sun_path - 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) _exit(2);
}

static void get_stuck(int number, const char *socket_path) {
    char name[32];
    snprintf(name, sizeof name, "%s/%d", mountpoint, number);
    const int fd = open(name, O_RDWR);
    if (fd < 0) _exit(3);
    char *place = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (place == MAP_FAILED) _exit(4);
    if (socket_path != NULL) keep_connection(socket_path);
    if (!reading) {
        *place = 1;
        mmap(place, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        _exit(5);
    }
    /* Without read-ahead one read fails, not two. */
    madvise(place, page, MADV_RANDOM);
    void *other = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t thread;
    if (pthread_create(&thread, NULL, want_lock, other) != 0) _exit(6);
    _exit(*(volatile char *)place);
}

static pid_t start_victim(int number, uid_t uid, const char *socket_path) {
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid != 0) return pid;
    close(fuse);
    if (setgid(uid) != 0 || setuid(uid) != 0) _exit(1);
    prctl(PR_SET_DUMPABLE, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) get_stuck(number, socket_path);
    _exit(1);
}

/* ---- whether they are stuck ---- */

/* A process that is ended by its alarm while it reads is one that waits. */
static pid_t start_reader(pid_t victim) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    const struct itimerval limit = {.it_value.tv_usec = look_ms * 1000};
    char name[64], text[64];
    snprintf(name, sizeof name, "/proc/%d/cmdline", victim);
    setitimer(ITIMER_REAL, &limit, NULL);
    const int fd = open(name, O_RDONLY);
    _exit(read(fd, text, sizeof text) < 0 ? 1 : 0);
}

static bool all_stuck(const pid_t *victims, int count) {
    pid_t readers[count_max];
    bool stuck = true;
    for (int index = 0; index < count; index++) readers[index] = start_reader(victims[index]);
    for (int index = 0; index < count; index++) {
        int status;
        waitpid(readers[index], &status, 0);
        stuck = stuck && WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    }
    return stuck;
}

static bool all_wait(int count) {
    for (int index = 0; index < count; index++)
        if (reading ? reads_of[index] < 2 : writes_of[index] < 1) return false;
    return true;
}

static void tell(const pid_t *victims, int count) {
    bool stuck = false;
    for (int tries = 0; tries < tries_max && !stuck; tries++) stuck = all_stuck(victims, count);
    if (!stuck) {
        puts("refused this kernel does not hold the lock");
        exit(1);
    }
    printf("ready");
    for (int index = 0; index < count; index++) printf(" %d", victims[index]);
    puts("");
}

int main(int words, char **word) {
    const int count = words > 3 ? atoi(word[3]) : 0;
    if (words < 4 || words > 5 || count < 1 || count > count_max) {
        fputs("stuck-memory-lock: its words are explained at the top of stuck-memory-lock.c\n", stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    reading = strcmp(word[1], "read") == 0;
    const uid_t uid = (uid_t)atoi(word[2]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(life_seconds);
    mount_filesystem(uid);

    static pid_t victims[count_max];
    for (int index = 0; index < count; index++) {
        victims[index] = start_victim(index, uid, word[4]);
        if (victims[index] < 0) refused("a process");
    }
    struct pollfd inputs[] = {{.fd = 0, .events = POLLIN}, {.fd = fuse, .events = POLLIN}};
    for (bool told = false; inputs[0].revents == 0;) {
        if (poll(inputs, 2, -1) < 0) refused("poll");
        if (inputs[1].revents != 0) serve();
        if (told || !all_wait(count)) continue;
        tell(victims, count);
        told = true;
    }
    /* This ends what they wait for: until then not even SIGKILL reaches them. */
    close(fuse);
    for (int index = 0; index < count; index++) {
        kill(victims[index], SIGKILL);
        waitpid(victims[index], NULL, 0);
    }
    return 0;
}
