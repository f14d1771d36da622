/* What the C programs of the bench share: the clock, percentiles, and messages with and without a descriptor. */
#ifndef MEMBROKER_TEST_BENCH_FLOOR_H
#define MEMBROKER_TEST_BENCH_FLOOR_H

#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

struct percentiles {
    uint64_t p50, p99;
};

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static inline uint64_t now(void)
{
    struct timespec time;
    if (clock_gettime(CLOCK_MONOTONIC, &time))
        fail("clock_gettime");
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline void *allocate(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    if (!memory)
        fail("calloc");
    return memory;
}

static inline int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Sorts the samples. */
static inline struct percentiles percentiles_of(uint64_t *samples, size_t count)
{
    qsort(samples, count, sizeof *samples, compare);
    return (struct percentiles){.p50 = samples[count / 2], .p99 = samples[count * 99 / 100]};
}

/* False when the peer has closed instead of sending. */
static inline bool receive_whole(int socket, void *buffer, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t count = recv(socket, (char *)buffer + done, bytes - done, 0);
        if (count < 0 && errno != ECONNRESET)
            fail("recv");
        if (count <= 0)
            return false;
        done += (size_t)count;
    }
    return true;
}

static inline void send_whole(int socket, const void *buffer, size_t bytes)
{
    if (send(socket, buffer, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
        fail("send");
}

union fd_control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static inline void send_fd(int socket, const void *buffer, size_t bytes, int fd)
{
    union fd_control control = {0};
    struct iovec part = {.iov_base = (void *)buffer, .iov_len = bytes};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(socket, &message, MSG_NOSIGNAL) != (ssize_t)bytes)
        fail("sendmsg");
}

static inline int receive_fd(int socket, void *buffer, size_t bytes)
{
    union fd_control control = {0};
    struct iovec part = {.iov_base = buffer, .iov_len = bytes};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (count < 0)
        fail("recvmsg");
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (count != (ssize_t)bytes || !header || header->cmsg_type != SCM_RIGHTS) {
        errno = EPROTO;
        fail("recvmsg");
    }
    int fd;
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

#endif
