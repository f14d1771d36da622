/*
 * The C server of npm run bench's pairs: it answers the requests of pair-client.c as the broker does, with the same system calls,
 * and without what makes a broker: it parses no JSON, checks no right, and believes every name.
 *
 *   pair-server SOCKET DIRECTORY [TABLE]
 *
 * With TABLE, an SQLite database (WAL, synchronous=FULL) has each allocation and each mapping before the reply leaves.
 * It serves until its standard input ends.
 */
#include "floor.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#ifdef WITH_SQLITE
#include <sqlite3.h>
#endif

enum { clients_max = 4096, request_bytes_max = 32 * 1024 };

struct client {
    char held[request_bytes_max];
    size_t bytes;
};

static struct client *clients[clients_max];
static const char *directory;
static unsigned long long mappings;

#ifdef WITH_SQLITE
static sqlite3 *table;

static void must(int result)
{
    if (result == SQLITE_OK || result == SQLITE_DONE || result == SQLITE_ROW)
        return;
    fprintf(stderr, "pair-server: %s\n", sqlite3_errmsg(table));
    exit(1);
}

static void open_table(const char *path)
{
    must(sqlite3_open(path, &table));
    must(sqlite3_exec(table,
                      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                      "CREATE TABLE allocation(id INTEGER PRIMARY KEY, name TEXT UNIQUE, uid, bytes, pid, start);"
                      "CREATE TABLE mapping(id INTEGER PRIMARY KEY, allocation, first, length, access, uid, pid, start)",
                      NULL, NULL, NULL));
}

/* Statements are compiled once. */
static void commit(sqlite3_stmt **statement, const char *text, unsigned long long first, unsigned long long second,
                   const char *name)
{
    if (!table)
        return;
    if (!*statement)
        must(sqlite3_prepare_v2(table, text, -1, statement, NULL));
    must(sqlite3_reset(*statement));
    must(sqlite3_bind_int64(*statement, 1, (sqlite3_int64)first));
    if (second)
        must(sqlite3_bind_int64(*statement, 2, (sqlite3_int64)second));
    if (name)
        must(sqlite3_bind_text(*statement, 3, name, -1, SQLITE_STATIC));
    must(sqlite3_step(*statement));
}
#define COMMIT(text, first, second, name)                                                                              \
    do {                                                                                                               \
        static sqlite3_stmt *statement;                                                                                \
        commit(&statement, text, first, second, name);                                                                 \
    } while (0)
#else
static void open_table(const char *path)
{
    fprintf(stderr, "pair-server: built without SQLite, for %s\n", path);
    exit(1);
}
#define COMMIT(text, first, second, name) ((void)(second), (void)(name))
#endif

static void path_of(char *path, size_t bytes, unsigned long long id)
{
    if (snprintf(path, bytes, "%s/alloc-%llu", directory, id) >= (int)bytes) {
        errno = ENAMETOOLONG;
        fail("DIRECTORY");
    }
}

/* The number that follows a text. */
static unsigned long long number_after(const char *request, const char *text)
{
    const char *at = strstr(request, text);
    if (!at) {
        errno = EPROTO;
        fail(text);
    }
    return strtoull(at + strlen(text), NULL, 10);
}

static int open_memory(const char *path, bool look)
{
    struct stat stat;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || (look && fstat(fd, &stat)))
        fail(path);
    return fd;
}

/* Asks whether nobody else has it open, as a proof does. Others may: the client revokes one of many. */
static void prove(const char *path)
{
    int fd = open_memory(path, false);
    if (fcntl(fd, F_SETLEASE, F_WRLCK) ? errno != EAGAIN : fcntl(fd, F_SETLEASE, F_UNLCK))
        fail("lease");
    if (close(fd))
        fail("close");
}

/* Names end in the allocation's number. */
static void answer(int socket, const char *request)
{
    char path[512], reply[400];
    int fd = -1;
    unsigned long long id = 0, mapping = 0;
    if (!strstr(request, "RevokeMapping")) {
        id = number_after(request, "bench-");
        path_of(path, sizeof path, id);
    }
    if (strstr(request, ".Allocate\"")) {
        unsigned long long bytes = number_after(request, "\"bytes\":");
        int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (file < 0 || ftruncate(file, (off_t)bytes) || close(file))
            fail(path);
        COMMIT("INSERT INTO allocation VALUES(?1, ?3, 0, ?2, 4711, 123456)", id, bytes, path);
    } else if (strstr(request, ".CreateMapping\"") || strstr(request, ".Claim\"")) {
        mapping = ++mappings;
        fd = open_memory(path, true);
        COMMIT("INSERT INTO mapping VALUES(?1, ?2, 0, 2097152, 1, 0, 4711, 123456)", mapping, id, NULL);
    } else if (strstr(request, ".RevokeMapping\"")) {
        unsigned long long ended = number_after(request, "\"mapping\":");
        id = number_after(request, "\"secret\":\"bench-");
        path_of(path, sizeof path, id);
        prove(path);
        COMMIT("DELETE FROM mapping WHERE id = ?1", ended, 0, NULL);
    } else {
        prove(path);
        if (unlink(path))
            fail(path);
        COMMIT("DELETE FROM allocation WHERE id = ?1", id, 0, NULL);
    }
    int bytes = snprintf(reply, sizeof reply,
                         "{\"parameters\":{\"grant\":{\"mapping\":{\"id\":%llu,\"state\":\"held\",\"allocation\":\"bench-%llu\"},"
                         "\"fileDescriptor\":0,\"mmapOffset\":0,\"padding\":\"%0120d\"}}}",
                         mapping, id, 0) + 1;
    if (fd < 0) {
        send_whole(socket, reply, (size_t)bytes);
    } else {
        send_fd(socket, reply, (size_t)bytes, fd);
        if (close(fd))
            fail("close");
    }
}

/* False when the client has left. */
static bool serve(int socket, struct client *client)
{
    struct iovec part = {.iov_base = client->held + client->bytes, .iov_len = sizeof client->held - client->bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t count = recvmsg(socket, &message, 0);
    if (count <= 0)
        return false;
    client->bytes += (size_t)count;
    char *request = client->held, *end;
    while ((end = memchr(request, 0, client->bytes - (size_t)(request - client->held)))) {
        answer(socket, request);
        request = end + 1;
    }
    client->bytes -= (size_t)(request - client->held);
    memmove(client->held, request, client->bytes);
    return true;
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl");
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "pair-server SOCKET DIRECTORY [TABLE]\n");
        return 1;
    }
    directory = argv[2];
    if (argc > 3)
        open_table(argv[3]);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(argv[1]) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        fail("SOCKET");
    }
    strcpy(address.sun_path, argv[1]);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), epoll = epoll_create1(EPOLL_CLOEXEC);
    if (listener < 0 || epoll < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) ||
        listen(listener, 1024))
        fail("listen");
    watch(epoll, listener);
    watch(epoll, STDIN_FILENO);
    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, -1);
        if (count < 0)
            fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == STDIN_FILENO)
                return 0;
            if (fd == listener) {
                int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                if (client < 0 || client >= clients_max)
                    fail("accept");
                clients[client] = allocate(1, sizeof **clients);
                watch(epoll, client);
            } else if (!serve(fd, clients[fd])) {
                free(clients[fd]);
                clients[fd] = NULL;
                if (close(fd))
                    fail("close");
            }
        }
    }
}
