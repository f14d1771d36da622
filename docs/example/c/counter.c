/*
 * A program whose counter outlives it: counter [SOCKET]
 * Each run takes up the memory of the run before, or new memory the first time, adds one to the counter in it, and ends
 * without giving the memory back. A client of membroker in nothing but C; protocol/WIRE.md says what it relies on.
 */
#define _GNU_SOURCE
#include "json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME "example/counter"
#define ERROR "io.membroker.Broker."

/* Limits of the protocol (WIRE.md, "Limits"). */
enum { descriptors_max = 128, reply_bytes_max = 4194304 };

struct reply {
    char *json;
    int fds[descriptors_max];
    size_t count;
};

/* What the memory of NAME begins with. */
struct contents {
    uint64_t runs;
};

_Noreturn static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("counter: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        fail("%s is too long for a socket", path);
    strcpy(address.sun_path, path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        fail("%s: %s", path, strerror(errno));
    return fd;
}

/* A message is its JSON and the NUL byte after it. */
static void send_message(int socket, const char *json)
{
    const size_t bytes = strlen(json) + 1;
    for (size_t done = 0; done < bytes;) {
        const ssize_t count = send(socket, json + done, bytes - done, MSG_NOSIGNAL);
        if (count < 0 && errno != EINTR)
            fail("send: %s", strerror(errno));
        done += count > 0 ? (size_t)count : 0;
    }
}

static void take_descriptors(struct reply *reply, struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (reply->count + count > descriptors_max)
            fail("more than %d descriptors with a reply", descriptors_max);
        memcpy(reply->fds + reply->count, CMSG_DATA(part), count * sizeof(int));
        reply->count += count;
    }
    if (message->msg_flags & MSG_CTRUNC)
        fail("descriptors were lost: is the limit of open files reached?");
}

/*
 * One call, one reply. As only one call is ever under way, all that arrives belongs to its reply; a client that sends
 * several, or one with "more", follows the receiving rule of WIRE.md. The memory of json is good until the next call.
 */
static struct reply call(int socket, const char *json)
{
    static char buffer[reply_bytes_max + 1];
    struct reply reply = {.json = buffer};
    send_message(socket, json);
    for (size_t used = 0; used == 0 || buffer[used - 1] != 0;) {
        union {
            struct cmsghdr header;
            char bytes[CMSG_SPACE(descriptors_max * sizeof(int))];
        } control;
        struct iovec part = {.iov_base = buffer + used, .iov_len = sizeof buffer - used};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        const ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            fail("the broker closed the connection%s%s", count < 0 ? ": " : "", count < 0 ? strerror(errno) : "");
        take_descriptors(&reply, &message);
        used += (size_t)count;
    }
    return reply;
}

static bool is_error(const struct reply *reply, const char *name)
{
    return json_is(json_at(reply->json, "error"), name);
}

static void must_succeed(const struct reply *reply, const char *what)
{
    if (json_at(reply->json, "error"))
        fail("%s was refused: %s", what, reply->json);
}

/* The memory of a grant, which is at this path of the reply; all other descriptors of it are closed. */
static void *map_grant(const struct reply *reply, const char *grant)
{
    long long index, offset, length;
    char path[64];
    const char *const fields[] = {"fileDescriptor", "mmapOffset", "mapping.length"};
    long long *const values[] = {&index, &offset, &length};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s.%s", grant, fields[i]);
        if (!json_integer(json_at(reply->json, path), values[i]))
            fail("a reply without %s: %s", path, reply->json);
    }
    if (index < 0 || (size_t)index >= reply->count || (size_t)length < sizeof(struct contents))
        fail("a grant that can't be: %s", reply->json);
    void *memory = mmap(NULL, (size_t)length, PROT_READ | PROT_WRITE, MAP_SHARED, reply->fds[index], (off_t)offset);
    if (memory == MAP_FAILED)
        fail("mmap: %s", strerror(errno));
    for (size_t i = 0; i < reply->count; i++)
        close(reply->fds[i]);
    return memory;
}

/* The memory of the run before, with the mapping that run had; new memory the first time. */
static struct contents *take_up(int socket)
{
    const char *const name = "\"name\":\"" NAME "\"";
    char request[256];
    snprintf(request, sizeof request, "{\"method\":\"io.membroker.Broker.Claim\",\"parameters\":{%s}}", name);
    struct reply reply = call(socket, request);
    if (is_error(&reply, ERROR "NotFound")) {
        snprintf(request, sizeof request,
                 "{\"method\":\"io.membroker.Broker.Allocate\",\"parameters\":{%s,\"bytes\":4096}}", name);
        reply = call(socket, request);
        must_succeed(&reply, "Allocate");
    } else {
        must_succeed(&reply, "Claim");
        if (json_at(reply.json, "parameters.grants.0"))
            return map_grant(&reply, "parameters.grants.0");
    }
    snprintf(request, sizeof request, "{\"method\":\"io.membroker.Broker.CreateMapping\",\"parameters\":{%s}}", name);
    reply = call(socket, request);
    must_succeed(&reply, "CreateMapping");
    return map_grant(&reply, "parameters.grant");
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : getenv("MEMBROKER_SOCKET");
    struct contents *const contents = take_up(connect_to(path ? path : "/run/membroker/broker.sock"));
    /* One store: a program killed here leaves the old number or the new one. */
    const uint64_t runs = __atomic_add_fetch(&contents->runs, 1, __ATOMIC_SEQ_CST);
    printf("run %llu\n", (unsigned long long)runs);
    return 0;
}
