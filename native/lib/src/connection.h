/* One connection to the broker: calls out, replies with their descriptors in. The socket never blocks; waiting is by deadline. */
#pragma once

#include "../membroker.h"
#include "json.h"

enum { fds_per_message_max = 128, message_bytes_max = 65536, reply_bytes_max = 4194304 };

/* Descriptors that are ours from the moment they exist. */
struct fds {
    int at[fds_per_message_max];
    size_t count;
};
void fds_close(struct fds *fds); /* those that nobody has taken out, which leaves -1 */

struct connection {
    int fd; /* -1: there is none */
    char *in;
    size_t begin, used, room, looked; /* in[begin..used) is not taken yet; before `looked` there is no NUL in it */
    struct fds first;                 /* those of the message at `begin`, when its beginning came in an earlier read */
    struct fds arrived;               /* those of the message that begins at `owner`, which came in the last read */
    size_t owner;
};

/* Its text lives in the connection until the next call of connection_next(). The receiver owns the descriptors. */
struct reply {
    json error; /* its name; absent: none */
    json parameters;
    bool continues;
    struct fds fds;
};

/* Milliseconds of the monotonic clock. A deadline is one of these; INT64_MAX: none. */
int64_t now_ms(void);
/* The deadline so many milliseconds from now. Negative: none. */
int64_t deadline_in(int64_t ms);
/* For poll(): what is left until then, at most a day. */
int left_ms(int64_t deadline);

void connection_init(struct connection *connection);
/* Idempotent. */
void connection_close(struct connection *connection);
/* MB_BROKER_UNREACHABLE with system_error EAGAIN: the backlog is full now. */
mb_code connection_open(struct connection *connection, const char *path, mb_error *error);
/* Whether the other end is known to have gone. */
bool connection_hung_up(const struct connection *connection);
/* Whether the other end is known to have gone, or sent what nobody asked for. */
bool connection_ended(const struct connection *connection);
/* *sent: some of it has left. MB_CONNECTION_LOST, MB_TIMED_OUT. */
mb_code connection_send(struct connection *connection, const char *message, size_t bytes, int64_t deadline, bool *sent, mb_error *error);
/* The next reply, if it is here or comes until the deadline. MB_TIMED_OUT: not yet; for any other error the connection is of no use. */
mb_code connection_next(struct connection *connection, const char *method, int64_t deadline, struct reply *reply, mb_error *error);
