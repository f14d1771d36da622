/*
 * Reads messages, each a line of hexadecimal digits, and says of each whether the library takes it for a message: a line of 1 and 0. What it takes it also reads in every way, and each goes through a connection in pieces, with descriptors.
 */
#include "../../native/lib/src/error.h"
#include "../../native/lib/src/info.h"
#include "../../native/lib/src/mapping.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void read_everything(json value)
{
    struct arena *arena = NULL;
    struct list_builder builder = {0};
    struct fds fds = {{0}, 0};
    char small[5];
    int64_t number;
    bool boolean;
    json_integer(value, &number);
    json_boolean(value, &boolean);
    json_string(value, small, sizeof small);
    read_text(value, &arena);
    raw_text(value, &arena);
    read_allocation(value, &arena);
    read_mapping(value, &arena);
    list_add(&builder, value, value);
    list_discard(&builder);
    check_grants(value, value, &fds);
    arena_free(arena);
    for (json_each each = json_begin(value); json_next(&each);)
        read_everything(each.value);
}

static void through_connection(char *message, size_t length)
{
    int ends[2];
    struct connection connection;
    struct reply reply;
    mb_error error;
    size_t sent = 0;
    connection_init(&connection);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        exit(1);
    connection.fd = ends[0];
    while (sent <= length) {
        /* The message's own bytes say where it comes apart, and whether a descriptor comes with a piece. */
        const size_t left = length + 1 - sent, piece = left < 7 ? left : 7u + (unsigned char)message[sent] % 64u;
        struct iovec part = {.iov_base = message + sent, .iov_len = piece < left ? piece : left};
        union {
            struct cmsghdr header;
            char bytes[CMSG_SPACE(sizeof(int))];
        } control;
        struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
        if (sent == 0 || message[sent] % 16 == 0) {
            header.msg_control = control.bytes;
            header.msg_controllen = sizeof control.bytes;
            control.header.cmsg_level = SOL_SOCKET;
            control.header.cmsg_type = SCM_RIGHTS;
            control.header.cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(&control.header), &ends[1], sizeof(int));
        }
        if (sendmsg(ends[1], &header, MSG_NOSIGNAL) < 0)
            break;
        sent += part.iov_len;
        for (mb_code code = MB_OK; code == MB_OK;) {
            code = connection_next(&connection, "Fuzz", now_ms(), &reply, &error);
            if (code == MB_OK) {
                error_of(reply.error, reply.parameters, &error);
                fds_close(&reply.fds);
            } else if (code != MB_TIMED_OUT)
                sent = length + 1;
        }
    }
    connection_close(&connection);
    close(ends[1]);
}

/* The bytes that the digits say, in their place. */
static size_t unhex(char *line, size_t digits)
{
    for (size_t index = 0; index < digits / 2; index++) {
        const char pair[] = {line[2 * index], line[2 * index + 1], 0};
        line[index] = (char)strtoul(pair, NULL, 16);
    }
    return digits / 2;
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    for (ssize_t digits; (digits = getline(&line, &room, stdin)) > 0;) {
        const size_t length = unhex(line, (size_t)digits - 1);
        line[length] = 0;
        /* Of its exact length: a byte beyond it is the sanitizer's. */
        char *const exact = malloc(length);
        if (length > 0)
            memcpy(exact, line, length);
        const bool good = json_check(exact, length, json_nesting_max) == NULL;
        if (good)
            read_everything(json_root(exact, length));
        through_connection(line, length);
        putchar(good ? '1' : '0');
        free(exact);
    }
    free(line);
    return 0;
}
