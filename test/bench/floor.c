/*
 * The least this kernel lets anybody do what the broker does, for npm run bench to measure the broker against.
 * No JSON is parsed, no table kept and no right checked here: only the system calls that can't be avoided.
 *
 *   floor [--grants N] [--batches N] [--commits N] [--starts N] [--bytes BYTES] [--directory TMPFS]
 *
 * Prints one JSON object. Every number is nanoseconds, but for the counts and grantsPerSecond.
 * Exit status 1 with one line on standard error when anything fails.
 */
#include "floor.h"

#include <fcntl.h>
#include <getopt.h>
#include <nmmintrin.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    request_bytes = 200,
    reply_bytes = 300,
    batch_grants = 32,
    commit_bytes = 192,
    journal_bytes = 1 << 20,
};

struct options {
    size_t grants, batches, commits, starts, bytes;
    const char *directory;
};

/* Where the server of a grant takes the memory from. */
enum memory { memory_new, memory_existing };

/* A new tmpfs file; path is the caller's to unlink. */
static int create_file(const struct options *options, size_t bytes, char *path, size_t path_bytes)
{
    if (snprintf(path, path_bytes, "%s/membroker-floor-XXXXXX", options->directory) >= (int)path_bytes) {
        errno = ENAMETOOLONG;
        fail("--directory");
    }
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)bytes))
        fail("file in --directory");
    return fd;
}

static int memory_fd(enum memory memory, const char *path, size_t bytes)
{
    if (memory == memory_existing)
        return open(path, O_RDWR | O_CLOEXEC);
    int fd = memfd_create("floor", MFD_CLOEXEC);
    return fd >= 0 && ftruncate(fd, (off_t)bytes) ? -1 : fd;
}

_Noreturn static void serve_grants(int socket, enum memory memory, const char *path, size_t bytes)
{
    char request[request_bytes], reply[reply_bytes];
    memset(reply, 'r', sizeof reply);
    while (receive_whole(socket, request, sizeof request)) {
        int fd = memory_fd(memory, path, bytes);
        if (fd < 0)
            fail("memory");
        send_fd(socket, reply, sizeof reply, fd);
        if (close(fd))
            fail("close");
    }
    _exit(0);
}

struct grant_server {
    int socket;
    pid_t pid;
    char path[256];
};

static struct grant_server start_grant_server(const struct options *options, enum memory memory)
{
    struct grant_server server;
    int pair[2];
    int file = create_file(options, options->bytes, server.path, sizeof server.path);
    if (close(file) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        fail("socketpair");
    if ((server.pid = fork()) < 0)
        fail("fork");
    if (server.pid == 0) {
        close(pair[0]);
        serve_grants(pair[1], memory, server.path, options->bytes);
    }
    close(pair[1]);
    server.socket = pair[0];
    return server;
}

static void await_success(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid)
        fail("waitpid");
    if (status) {
        errno = ECHILD;
        fail("a child process failed");
    }
}

static void stop_grant_server(const struct grant_server *server)
{
    close(server->socket);
    await_success(server->pid);
    if (unlink(server->path))
        fail("unlink");
}

static void *map_memory(int fd, size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        fail("mmap");
    return memory;
}

static void drop_memory(int fd, void *memory, size_t bytes)
{
    *(volatile char *)memory = 1; /* as a holder would: the first page is really there */
    if (munmap(memory, bytes) || close(fd))
        fail("munmap");
}

/* One grant at a time. mapped: from the request to mapped memory; whole: until it is used, unmapped and closed again. */
static void measure_single(const struct options *options, enum memory memory, struct percentiles *mapped,
                           struct percentiles *whole)
{
    struct grant_server server = start_grant_server(options, memory);
    size_t count = options->grants, warm_up = count / 10 + 1;
    uint64_t *mapped_ns = allocate(count, sizeof *mapped_ns), *whole_ns = allocate(count, sizeof *whole_ns);
    char request[request_bytes], reply[reply_bytes];
    memset(request, 'q', sizeof request);
    for (size_t i = 0; i < warm_up + count; i++) {
        uint64_t begin = now();
        send_whole(server.socket, request, sizeof request);
        int fd = receive_fd(server.socket, reply, sizeof reply);
        void *granted = map_memory(fd, options->bytes);
        uint64_t at_mapped = now();
        drop_memory(fd, granted, options->bytes);
        uint64_t end = now();
        if (i < warm_up)
            continue;
        mapped_ns[i - warm_up] = at_mapped - begin;
        whole_ns[i - warm_up] = end - begin;
    }
    *mapped = percentiles_of(mapped_ns, count);
    *whole = percentiles_of(whole_ns, count);
    free(mapped_ns);
    free(whole_ns);
    stop_grant_server(&server);
}

/* Grants with 32 requests on their way at once; with map each is also mapped, used and unmapped. Grants per second. */
static double measure_pipelined(const struct options *options, enum memory memory, bool map)
{
    struct grant_server server = start_grant_server(options, memory);
    size_t warm_up = options->batches / 10 + 1;
    char requests[batch_grants * request_bytes], reply[reply_bytes];
    memset(requests, 'q', sizeof requests);
    uint64_t begin = 0;
    for (size_t batch = 0; batch < warm_up + options->batches; batch++) {
        if (batch == warm_up)
            begin = now();
        send_whole(server.socket, requests, sizeof requests);
        for (int i = 0; i < batch_grants; i++) {
            int fd = receive_fd(server.socket, reply, sizeof reply);
            if (map)
                drop_memory(fd, map_memory(fd, options->bytes), options->bytes);
            else if (close(fd))
                fail("close");
        }
    }
    double seconds = (double)(now() - begin) / 1e9;
    stop_grant_server(&server);
    return (double)(options->batches * batch_grants) / seconds;
}

__attribute__((target("sse4.2"))) static uint32_t crc32c(uint32_t initial, const uint8_t *bytes, size_t count)
{
    uint64_t crc = initial ^ 0xffffffff, word;
    for (size_t i = 0; i < count; i += sizeof word) {
        memcpy(&word, bytes + i, sizeof word);
        crc = _mm_crc32_u64(crc, word);
    }
    return (uint32_t)crc ^ 0xffffffff;
}

/*
 * One record into a mapped journal: payload, checksum, fence, and the store that publishes it. Mean of all. Each
 * checksum begins with the last one, or the processor would work on several commits at once.
 */
static double measure_commit(const struct options *options)
{
    if (!__builtin_cpu_supports("sse4.2")) {
        errno = ENOSYS;
        fail("crc32c instruction");
    }
    char path[256];
    int fd = create_file(options, journal_bytes, path, sizeof path);
    uint8_t *journal = map_memory(fd, journal_bytes), record[commit_bytes];
    uint64_t *head = (uint64_t *)journal;
    memset(journal, 1, journal_bytes); /* every page is there before the clock runs */
    memset(record, 2, sizeof record);
    const size_t slots = journal_bytes / commit_bytes - 1;
    uint32_t crc = 0;
    uint64_t begin = now();
    for (uint64_t sequence = 1; sequence <= options->commits; sequence++) {
        uint8_t *slot = journal + commit_bytes * (1 + sequence % slots);
        memcpy(record, &sequence, sizeof sequence);
        crc = crc32c(crc, record, sizeof record - 2 * sizeof crc);
        memcpy(record + sizeof record - sizeof crc, &crc, sizeof crc);
        memcpy(slot, record, sizeof record);
        __atomic_thread_fence(__ATOMIC_RELEASE);
        __atomic_store_n(head, sequence, __ATOMIC_RELAXED);
    }
    double mean = (double)(now() - begin) / (double)options->commits;
    if (munmap(journal, journal_bytes) || close(fd) || unlink(path))
        fail("munmap");
    return mean;
}

static struct sockaddr_un socket_address(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        fail("--directory");
    }
    strcpy(address.sun_path, path);
    return address;
}

/* The program this one starts again and again: one request, one reply, and the time of it on standard output. */
_Noreturn static void run_client(const char *path)
{
    struct sockaddr_un address = socket_address(path);
    char request[request_bytes], reply[reply_bytes];
    memset(request, 'q', sizeof request);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        fail("connect");
    send_whole(fd, request, sizeof request);
    if (!receive_whole(fd, reply, sizeof reply))
        fail("reply");
    uint64_t end = now();
    if (write(STDOUT_FILENO, &end, sizeof end) != sizeof end)
        fail("write");
    exit(0);
}

_Noreturn static void serve_clients(int listener)
{
    char request[request_bytes], reply[reply_bytes];
    memset(reply, 'r', sizeof reply);
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
            fail("accept");
        if (receive_whole(client, request, sizeof request))
            send_whole(client, reply, sizeof reply);
        if (close(client))
            fail("close");
    }
}

/* From before fork to the reply in the new program's hands. */
static uint64_t start_client(const char *path)
{
    int result[2];
    uint64_t end = 0;
    if (pipe2(result, O_CLOEXEC))
        fail("pipe");
    uint64_t begin = now();
    pid_t pid = fork();
    if (pid < 0)
        fail("fork");
    if (pid == 0) {
        if (dup2(result[1], STDOUT_FILENO) < 0)
            fail("dup2");
        execl("/proc/self/exe", "floor", "--client", path, (char *)NULL);
        fail("exec");
    }
    close(result[1]);
    if (read(result[0], &end, sizeof end) != sizeof end)
        fail("the client's time");
    close(result[0]);
    await_success(pid);
    return end - begin;
}

static struct percentiles measure_start(const struct options *options)
{
    char path[256];
    close(create_file(options, 0, path, sizeof path));
    if (unlink(path)) /* the name was wanted, for the socket */
        fail("unlink");
    struct sockaddr_un address = socket_address(path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16))
        fail("listen");
    pid_t server = fork();
    if (server < 0)
        fail("fork");
    if (server == 0)
        serve_clients(listener);
    close(listener);

    size_t warm_up = options->starts / 10 + 1;
    uint64_t *samples = allocate(options->starts, sizeof *samples);
    for (size_t i = 0; i < warm_up + options->starts; i++) {
        uint64_t sample = start_client(path);
        if (i >= warm_up)
            samples[i - warm_up] = sample;
    }
    struct percentiles result = percentiles_of(samples, options->starts);
    free(samples);
    if (kill(server, SIGKILL) || waitpid(server, NULL, 0) != server || unlink(path))
        fail("the server's end");
    return result;
}

static size_t parse_count(const char *text)
{
    char *rest;
    errno = 0;
    unsigned long long value = strtoull(text, &rest, 10);
    if (errno || rest == text || *rest || *text == '-' || value == 0) {
        errno = EINVAL;
        fail(text);
    }
    return value;
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"grants", required_argument, NULL, 'g'},  {"batches", required_argument, NULL, 'b'},
        {"commits", required_argument, NULL, 'c'}, {"starts", required_argument, NULL, 's'},
        {"bytes", required_argument, NULL, 'B'},   {"directory", required_argument, NULL, 'd'},
        {"client", required_argument, NULL, 'C'},  {NULL, 0, NULL, 0},
    };
    struct options options = {
        .grants = 10000,
        .batches = 1000,
        .commits = 1000000,
        .starts = 200,
        .bytes = 2 << 20,
        .directory = "/dev/shm",
    };
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'g': options.grants = parse_count(optarg); break;
        case 'b': options.batches = parse_count(optarg); break;
        case 'c': options.commits = parse_count(optarg); break;
        case 's': options.starts = parse_count(optarg); break;
        case 'B': options.bytes = parse_count(optarg); break;
        case 'd': options.directory = optarg; break;
        case 'C': run_client(optarg);
        default: exit(1); /* getopt has said why */
        }
    }
    return options;
}

static void print_grant(const char *name, const struct options *options, enum memory memory)
{
    struct percentiles mapped, whole;
    measure_single(options, memory, &mapped, &whole);
    double received_only = measure_pipelined(options, memory, false);
    double with_map = measure_pipelined(options, memory, true);
    printf("  \"%s\": {\n", name);
    printf("    \"mappedP50\": %llu, \"mappedP99\": %llu,\n", (unsigned long long)mapped.p50,
           (unsigned long long)mapped.p99);
    printf("    \"wholeP50\": %llu, \"wholeP99\": %llu,\n", (unsigned long long)whole.p50,
           (unsigned long long)whole.p99);
    printf("    \"pipelined\": {\"grantsPerSecond\": %.0f, \"nanoseconds\": %.0f},\n", received_only,
           1e9 / received_only);
    printf("    \"pipelinedMapped\": {\"grantsPerSecond\": %.0f, \"nanoseconds\": %.0f}\n", with_map, 1e9 / with_map);
    printf("  },\n");
}

int main(int argc, char **argv)
{
    struct options options = parse_options(argc, argv);
    printf("{\n  \"counts\": {\"grants\": %zu, \"batches\": %zu, \"batchGrants\": %d, \"commits\": %zu, "
           "\"starts\": %zu, \"bytes\": %zu},\n",
           options.grants, options.batches, batch_grants, options.commits, options.starts, options.bytes);
    /* What is buffered must not be written by the children too. */
    if (fflush(stdout) || setvbuf(stdout, NULL, _IOLBF, 0))
        fail("standard output");
    print_grant("grantNewMemfd", &options, memory_new);
    print_grant("grantExistingFile", &options, memory_existing);
    printf("  \"commitMean\": %.1f,\n", measure_commit(&options));
    fflush(stdout);
    struct percentiles start = measure_start(&options);
    printf("  \"startP50\": %llu, \"startP99\": %llu\n}\n", (unsigned long long)start.p50,
           (unsigned long long)start.p99);
    return 0;
}
