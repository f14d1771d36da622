/*
 * Processes that are a burden to look at, and files that are a burden to touch. Tests start it through attacker.ts.
 *
 *   burden descriptors PROCESSES COUNT   processes with so many descriptors each, or as many as they may
 *   burden protect THREADS SOCKET        connect, and change the protection of memory in so many threads
 *   burden punch THREADS BYTES           fill and empty the file of descriptor 3 in so many threads, without a pause
 *   burden execute                       make the file of descriptor 3 longer and a program, run it, and stay in it
 *   burden without-inotify COMMAND...    become that command, in a user namespace of the same uids that has no inotify instance
 *
 * Standard output: "ready" when all is in place, or "refused N" with the errno. It ends with its standard input.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { target = 3, page = 4096, tries_max = 500 };

static const size_t protected_bytes = 4UL << 30;

static int refused(void) {
    printf("refused %d\n", errno);
    return 1;
}

/* Children end with this process. */
static int stay(void) {
    char byte;
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) > 0) continue;
    return 0;
}

static void fill_descriptors(int amount) {
    const int null = open("/dev/null", O_RDONLY);
    for (int index = 1; index < amount && dup(null) >= 0; index++) continue;
}

static int descriptors(int processes, int amount) {
    struct rlimit limit;
    const pid_t parent = getpid();
    int done[2];
    char byte;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || pipe(done) != 0) return refused();
    for (int index = 0; index < processes; index++) {
        const pid_t child = fork();
        if (child < 0) return refused();
        if (child > 0) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        fill_descriptors(amount);
        if (write(done[1], "x", 1) != 1) _exit(1);
        for (;;) pause();
    }
    for (int index = 0; index < processes; index++)
        if (read(done[0], &byte, 1) != 1) return refused();
    return stay();
}

/* Each change takes milliseconds, and has the lock for all of them. */
static void *change_protection(void *memory) {
    for (int way = PROT_NONE; mprotect(memory, protected_bytes, way) == 0; way ^= PROT_READ) continue;
    return NULL;
}

static int protect(int threads, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return refused();
    /* Of the one page of zeros: only the page tables take memory. */
    void *memory = mmap(NULL, protected_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || madvise(memory, protected_bytes, MADV_NOHUGEPAGE) != 0) return refused();
    for (size_t at = 0; at < protected_bytes; at += page) (void)*((volatile char *)memory + at);
    for (int index = 0; index < threads; index++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, change_protection, memory) != 0) return refused();
    }
    return stay();
}

static off_t punched_bytes;

/* Either may be refused, by a seal or for lack of memory: the lock is taken all the same. */
static void *punch_on(void *unused) {
    for (;;) {
        fallocate(target, FALLOC_FL_KEEP_SIZE, 0, punched_bytes);
        fallocate(target, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, punched_bytes);
    }
    return unused;
}

static int punch(int threads, off_t bytes) {
    punched_bytes = bytes;
    for (int index = 0; index < threads; index++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, punch_on, NULL) != 0) return refused();
    }
    return stay();
}

/* While anybody has it open for writing, the broker too, it can't be run. */
static int execute(void) {
    struct stat own;
    const int self = open("/proc/self/exe", O_RDONLY);
    if (self < 0 || fstat(self, &own) != 0) return refused();
    if (ftruncate(target, 4 * own.st_size + page) != 0 || lseek(target, 0, SEEK_SET) != 0) return refused();
    for (off_t left = own.st_size; left > 0;) {
        const ssize_t sent = sendfile(target, self, NULL, left);
        if (sent <= 0) return refused();
        left -= sent;
    }
    if (fchmod(target, 0700) != 0) return refused();
    const int program = open("/proc/self/fd/3", O_RDONLY | O_CLOEXEC);
    close(target);
    for (int tries = 0; program >= 0 && tries < tries_max; tries++) {
        char *words[] = {"burden", "stay", NULL};
        fexecve(program, words, environ);
        if (errno != ETXTBSY) break;
        usleep(10000);
    }
    return refused();
}

static bool write_file(const char *name, const char *text) {
    const int fd = open(name, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0;
}

/* A map of many uids is written by a process outside. */
static int without_inotify(char **command) {
    static const char *const all = "0 0 65536";
    int entered[2], mapped[2];
    char name[64], byte = 'x';
    if (pipe2(entered, O_CLOEXEC) != 0 || pipe2(mapped, O_CLOEXEC) != 0) return refused();
    const pid_t self = getpid(), outside = fork();
    if (outside == 0) {
        if (read(entered[0], &byte, 1) != 1) _exit(1);
        snprintf(name, sizeof name, "/proc/%d/uid_map", self);
        bool good = write_file(name, all);
        snprintf(name, sizeof name, "/proc/%d/gid_map", self);
        good = good && write_file(name, all) && write(mapped[1], &byte, 1) == 1;
        _exit(good ? 0 : 1);
    }
    close(mapped[1]);
    if (outside < 0 || unshare(CLONE_NEWUSER) != 0 || write(entered[1], &byte, 1) != 1) return refused();
    if (read(mapped[0], &byte, 1) != 1) return refused();
    waitpid(outside, NULL, 0);
    if (!write_file("/proc/sys/user/max_inotify_instances", "0")) return refused();
    execvp(command[0], command);
    return refused();
}

int main(int words, char **word) {
    const char *what = words > 1 ? word[1] : "";
    if (words == 4 && strcmp(what, "descriptors") == 0) return descriptors(atoi(word[2]), atoi(word[3]));
    if (words == 4 && strcmp(what, "protect") == 0) return protect(atoi(word[2]), word[3]);
    if (words == 4 && strcmp(what, "punch") == 0) return punch(atoi(word[2]), atoll(word[3]));
    if (strcmp(what, "execute") == 0) return execute();
    if (words > 2 && strcmp(what, "without-inotify") == 0) return without_inotify(word + 2);
    if (strcmp(what, "stay") == 0) return stay();
    fputs("burden: its words are explained at the top of burden.c\n", stderr);
    return 2;
}
