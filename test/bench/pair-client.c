/*
 * The C client of npm run bench: the same requests to the broker and to pair-server.c, so that a ratio compares servers only.
 * It uses no library.
 *
 *   pair-client SOCKET grant COUNT          one grant at a time, from the request to mapped memory; its revocation is not counted
 *   pair-client SOCKET look COUNT           asks for what is known of one allocation, as a client may while all is frozen
 *   pair-client SOCKET pipelined BATCHES    32 grants are asked for at once
 *   pair-client SOCKET crowd ROUNDS         64 connections, each of which asks for its next grant as soon as it has one
 *   pair-client SOCKET processes COUNT      as many processes, each of which connects, claims one allocation and maps it
 *   pair-client SOCKET operations COUNT     allocate, map, revoke, release: each by itself, and all
 *
 * Prints one JSON object of nanoseconds. Exit status 1 with one line on standard error when anything fails.
 */
#include "floor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { memory_bytes = 2 << 20, batch_grants = 32, crowd_clients = 64, crowd_grants = 32, input_bytes = 16 * 1024 };

struct link {
    int socket;
    size_t bytes;
    char input[input_bytes];
};

struct reply {
    int fd;
    unsigned long long id;
};

static const char *socket_path;

static struct link *open_link(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct link *link = allocate(1, sizeof *link);
    if (strlen(socket_path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        fail("SOCKET");
    }
    strcpy(address.sun_path, socket_path);
    link->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (link->socket < 0 || connect(link->socket, (struct sockaddr *)&address, sizeof address))
        fail("connect");
    return link;
}

static void close_link(struct link *link)
{
    close(link->socket);
    free(link);
}

static size_t write_request(char *text, size_t bytes, const char *method, const char *more, unsigned number)
{
    int length = snprintf(text, bytes, "{\"method\":\"io.membroker.Broker.%s\",\"parameters\":{\"name\":\"bench-%u\"%s}}", method,
                          number, more);
    return (size_t)length + 1;
}

static void ask(struct link *link, const char *method, const char *more, unsigned number)
{
    char text[400];
    send_whole(link->socket, text, write_request(text, sizeof text, method, more, number));
}

static void ask_revoke(struct link *link, unsigned long long mapping, unsigned number)
{
    char text[400];
    /* The broker looks at the secret of others only; the C server finds the file by it. */
    int length = snprintf(text, sizeof text,
                          "{\"method\":\"io.membroker.Broker.RevokeMapping\",\"parameters\":{\"mapping\":%llu,"
                          "\"secret\":\"bench-%u\"}}",
                          mapping, number);
    send_whole(link->socket, text, (size_t)length + 1);
}

/* A reply with a descriptor ends a read, so at most one descriptor comes with each. */
static struct reply await(struct link *link)
{
    struct reply reply = {.fd = -1};
    char *end;
    while (!(end = memchr(link->input, 0, link->bytes))) {
        union fd_control control = {0};
        struct iovec part = {.iov_base = link->input + link->bytes, .iov_len = sizeof link->input - link->bytes};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t count = recvmsg(link->socket, &message, MSG_CMSG_CLOEXEC);
        if (count <= 0)
            fail("recvmsg");
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header)
            memcpy(&reply.fd, CMSG_DATA(header), sizeof reply.fd);
        link->bytes += (size_t)count;
    }
    if (strstr(link->input, "\"error\"")) {
        fprintf(stderr, "pair-client: %s\n", link->input);
        exit(1);
    }
    const char *id = strstr(link->input, "\"mapping\":{\"id\":");
    if (id)
        reply.id = strtoull(id + strlen("\"mapping\":{\"id\":"), NULL, 10);
    size_t bytes = (size_t)(end + 1 - link->input);
    link->bytes -= bytes;
    memmove(link->input, end + 1, link->bytes);
    return reply;
}

static void *map(const struct reply *reply)
{
    void *memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, reply->fd, 0);
    if (memory == MAP_FAILED)
        fail("mmap");
    return memory;
}

/* All of one allocation: the proof for the first finds none of them open any more. */
static void give_back(struct link *link, const struct reply *replies, void **memory, int count, unsigned number)
{
    for (int i = 0; i < count; i++)
        if (munmap(memory[i], memory_bytes) || close(replies[i].fd))
            fail("munmap");
    for (int i = 0; i < count; i++) {
        ask_revoke(link, replies[i].id, number);
        await(link);
    }
}

static void make_allocation(struct link *link, unsigned number)
{
    ask(link, "Allocate", ",\"bytes\":2097152", number);
    await(link);
}

static void release(struct link *link, unsigned number)
{
    ask(link, "Release", "", number);
    await(link);
}

static void print_percentiles(const char *name, uint64_t *samples, size_t count, const char *after)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += samples[i];
    struct percentiles found = percentiles_of(samples, count);
    printf("\"%sP50\":%llu,\"%sP99\":%llu,\"%sMean\":%llu%s", name, (unsigned long long)found.p50, name,
           (unsigned long long)found.p99, name, (unsigned long long)(sum / count), after);
}

static void measure_grant(size_t count)
{
    struct link *link = open_link();
    uint64_t *samples = allocate(count, sizeof *samples);
    size_t warm_up = count / 10 + 1;
    make_allocation(link, 1);
    for (size_t i = 0; i < warm_up + count; i++) {
        uint64_t begin = now();
        ask(link, "CreateMapping", "", 1);
        struct reply reply = await(link);
        void *memory = map(&reply);
        if (i >= warm_up)
            samples[i - warm_up] = now() - begin;
        give_back(link, &reply, &memory, 1, 1);
    }
    release(link, 1);
    printf("{");
    print_percentiles("mapped", samples, count, "}\n");
    close_link(link);
}

static void measure_look(size_t count)
{
    struct link *link = open_link();
    uint64_t *samples = allocate(count, sizeof *samples);
    for (size_t i = 0; i < count; i++) {
        uint64_t begin = now();
        ask(link, "GetAllocation", "", 1);
        await(link);
        samples[i] = now() - begin;
    }
    printf("{");
    print_percentiles("look", samples, count, "}\n");
    close_link(link);
}

static void measure_pipelined(size_t batches)
{
    struct link *link = open_link();
    char requests[batch_grants * 400];
    size_t bytes = 0;
    for (int i = 0; i < batch_grants; i++)
        bytes += write_request(requests + bytes, sizeof requests - bytes, "CreateMapping", "", 2);
    make_allocation(link, 2);
    uint64_t total = 0;
    for (size_t batch = 0; batch < batches + batches / 10 + 1; batch++) {
        struct reply replies[batch_grants];
        void *memory[batch_grants];
        uint64_t begin = now();
        send_whole(link->socket, requests, bytes);
        for (int i = 0; i < batch_grants; i++) {
            replies[i] = await(link);
            memory[i] = map(&replies[i]);
        }
        if (batch > batches / 10)
            total += now() - begin;
        give_back(link, replies, memory, batch_grants, 2);
    }
    release(link, 2);
    printf("{\"each\":%llu}\n", (unsigned long long)(total / batches / batch_grants));
    close_link(link);
}

static void measure_crowd(size_t rounds)
{
    static struct link *links[crowd_clients];
    static struct reply replies[crowd_clients][crowd_grants];
    static void *memory[crowd_clients][crowd_grants];
    struct pollfd polled[crowd_clients];
    uint64_t *samples = allocate(rounds * crowd_clients * crowd_grants, sizeof *samples), total = 0;
    size_t sampled = 0;
    for (unsigned i = 0; i < crowd_clients; i++) {
        links[i] = open_link();
        polled[i] = (struct pollfd){.fd = links[i]->socket, .events = POLLIN};
        make_allocation(links[i], 100 + i);
    }
    for (size_t round = 0; round < rounds + 1; round++) {
        int had[crowd_clients] = {0}, left = crowd_clients;
        uint64_t asked[crowd_clients], begin = now();
        for (unsigned i = 0; i < crowd_clients; i++) {
            asked[i] = now();
            ask(links[i], "CreateMapping", "", 100 + i);
        }
        while (left > 0) {
            if (poll(polled, crowd_clients, -1) < 0)
                fail("poll");
            for (unsigned i = 0; i < crowd_clients; i++) {
                if (!polled[i].revents)
                    continue;
                struct reply *reply = &replies[i][had[i]];
                *reply = await(links[i]);
                memory[i][had[i]] = map(reply);
                uint64_t at = now();
                if (round > 0)
                    samples[sampled++] = at - asked[i];
                if (++had[i] == crowd_grants) {
                    left--;
                } else {
                    asked[i] = at;
                    ask(links[i], "CreateMapping", "", 100 + i);
                }
            }
        }
        if (round > 0)
            total += now() - begin;
        for (unsigned i = 0; i < crowd_clients; i++)
            give_back(links[i], replies[i], memory[i], crowd_grants, 100 + i);
    }
    for (unsigned i = 0; i < crowd_clients; i++) {
        release(links[i], 100 + i);
        close_link(links[i]);
    }
    printf("{\"each\":%llu,", (unsigned long long)(total / sampled));
    uint64_t longest = 0;
    for (size_t i = 0; i < sampled; i++)
        longest = samples[i] > longest ? samples[i] : longest;
    print_percentiles("wait", samples, sampled, ",");
    printf("\"longest\":%llu}\n", (unsigned long long)longest);
}

static void measure_operations(size_t count)
{
    static const char *const names[] = {"allocate", "map", "revoke", "release", "whole"};
    struct link *link = open_link();
    uint64_t *samples[5];
    size_t warm_up = count / 10 + 1;
    for (int i = 0; i < 5; i++)
        samples[i] = allocate(count, sizeof **samples);
    for (size_t i = 0; i < warm_up + count; i++) {
        uint64_t times[5] = {now()};
        make_allocation(link, 3);
        times[1] = now();
        ask(link, "CreateMapping", "", 3);
        struct reply reply = await(link);
        void *memory = map(&reply);
        times[2] = now();
        give_back(link, &reply, &memory, 1, 3);
        times[3] = now();
        release(link, 3);
        times[4] = now();
        if (i < warm_up)
            continue;
        for (int part = 0; part < 4; part++)
            samples[part][i - warm_up] = times[part + 1] - times[part];
        samples[4][i - warm_up] = times[4] - times[0];
    }
    printf("{");
    for (int part = 0; part < 5; part++)
        print_percentiles(names[part], samples[part], count, part < 4 ? "," : "}\n");
    close_link(link);
}

static pid_t start_child(void)
{
    pid_t pid = fork();
    if (pid < 0)
        fail("fork");
    return pid;
}

static void await_child(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid || status) {
        errno = ECHILD;
        fail("a child process failed");
    }
}

/* The allocations are a child's, so that they can be claimed once it has ended. */
static void fill(size_t count)
{
    pid_t pid = start_child();
    if (pid == 0) {
        struct link *link = open_link();
        for (unsigned i = 0; i < count; i++) {
            make_allocation(link, 1000 + i);
            ask(link, "CreateMapping", "", 1000 + i);
            close(await(link).fd);
        }
        _exit(0);
    }
    await_child(pid);
}

/* From the moment that all may begin to the moment that the last has mapped its memory. */
static void measure_processes(size_t count)
{
    int gate[2], ready[2], results[2];
    char byte = 0;
    pid_t *children = allocate(count, sizeof *children);
    fill(count);
    usleep(200000); /* the broker notices the end of the one that filled */
    if (pipe2(gate, O_CLOEXEC) || pipe2(ready, O_CLOEXEC) || pipe2(results, O_CLOEXEC))
        fail("pipe");
    for (unsigned i = 0; i < count; i++) {
        if ((children[i] = start_child()) != 0)
            continue;
        close(gate[1]);
        if (write(ready[1], &byte, 1) != 1 || read(gate[0], &byte, 1) != 0)
            fail("gate");
        struct link *link = open_link();
        ask(link, "Claim", "", 1000 + i);
        struct reply reply = await(link);
        map(&reply);
        uint64_t at = now();
        if (write(results[1], &at, sizeof at) != sizeof at)
            fail("write");
        _exit(0);
    }
    for (size_t i = 0; i < count; i++)
        if (read(ready[0], &byte, 1) != 1)
            fail("read");
    uint64_t begin = now(), last = 0, at;
    close(gate[1]);
    for (size_t i = 0; i < count; i++) {
        if (read(results[0], &at, sizeof at) != sizeof at)
            fail("read");
        last = at > last ? at : last;
    }
    for (size_t i = 0; i < count; i++)
        await_child(children[i]);
    printf("{\"whole\":%llu}\n", (unsigned long long)(last - begin));
    fflush(stdout);
    usleep(200000);
    struct link *link = open_link();
    for (unsigned i = 0; i < count; i++)
        release(link, 1000 + i);
    close_link(link);
}

int main(int argc, char **argv)
{
    size_t count = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
    if (count == 0) {
        fprintf(stderr, "pair-client SOCKET grant|look|pipelined|crowd|operations|processes COUNT\n");
        return 1;
    }
    socket_path = argv[1];
    if (!strcmp(argv[2], "grant"))
        measure_grant(count);
    else if (!strcmp(argv[2], "look"))
        measure_look(count);
    else if (!strcmp(argv[2], "pipelined"))
        measure_pipelined(count);
    else if (!strcmp(argv[2], "crowd"))
        measure_crowd(count);
    else if (!strcmp(argv[2], "operations"))
        measure_operations(count);
    else
        measure_processes(count);
    return 0;
}
