/*
 * A connection that the library keeps up by itself, and reads when mb_dispatch() is called: the notices, a watch, a participation, and the
 * calls that nobody waits for.
 */
#pragma once

#include "broker.h"
#include "text.h"

struct stream;
struct stream_kind {
    /* Sends the first call, by stream_send(). */
    mb_code (*begin)(struct stream *stream, mb_error *error);
    /* A reply without error. False: begin anew. Its descriptors are closed afterwards. */
    bool (*receive)(struct stream *stream, const struct reply *reply);
    /* A refusal by the broker. False: try again later, on a new connection. */
    bool (*refused)(struct stream *stream, const mb_error *error);
    void (*release)(struct stream *stream);
    void (*lost)(struct stream *stream); /* the connection is gone; may be NULL */
};

/* Its owner embeds it as the first member. */
struct stream {
    const struct stream_kind *kind;
    struct stream *next;
    mb_broker *broker;
    struct connection connection;
    bool ended; /* by its user; freed when no handler runs */
    bool idle;  /* it needs no connection now */
    int64_t retry_at; /* where there is no connection */
    unsigned failures;
    const char *method; /* of its last call */
    mb_error error;     /* MB_OK: its last connection has not failed */
};

void stream_add(mb_broker *broker, struct stream *stream, const struct stream_kind *kind);
/* It is freed when no handler runs. */
void stream_end(struct stream *stream);
mb_code stream_send(struct stream *stream, const char *method, const struct text *parameters, bool more, mb_error *error);
/* Its connection is closed, and made again: at once, or after a pause that grows. */
void stream_restart(struct stream *stream, bool soon);
/* Its connection is closed; idle is to become false before it has another. */
void stream_rest(struct stream *stream);
/* Until it is as the caller needs it: *good, or a failure that does not pass. */
mb_code stream_wait(struct stream *stream, const bool *good, mb_error *error);
/* All streams do what can be done without waiting. */
void streams_turn(mb_broker *broker);
void streams_free_ended(mb_broker *broker);
/* Wake mb_dispatch() when something is due that no socket says. */
void arm(mb_broker *broker);
/* Calls the handler for warnings. */
void warn(mb_broker *broker, const mb_error *error);
