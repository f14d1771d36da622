#include "stream.h"
#include "error.h"
#include "link.h"
#include "mapping.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

/* Replies of one stream in a row: a flood must not keep the others waiting. */
enum { replies_per_turn = 64 };

void warn(mb_broker *broker, const mb_error *error)
{
    if (broker->handlers.warning == NULL)
        return;
    broker->depth++;
    broker->handlers.warning(broker->handlers.context, error);
    broker->depth--;
}

void stream_add(mb_broker *broker, struct stream *stream, const struct stream_kind *kind)
{
    stream->kind = kind;
    stream->broker = broker;
    connection_init(&stream->connection);
    stream->retry_at = now_ms();
    stream->next = broker->streams;
    broker->streams = stream;
}

static void hang_up(struct stream *stream)
{
    /* A forked child may have a copy of the descriptor, which would stay in the epoll set. */
    if (stream->connection.fd >= 0)
        epoll_ctl(stream->broker->epoll, EPOLL_CTL_DEL, stream->connection.fd, NULL);
    connection_close(&stream->connection);
    if (!stream->ended && stream->kind->lost != NULL)
        stream->kind->lost(stream);
}

void stream_restart(struct stream *stream, bool soon)
{
    hang_up(stream);
    stream->retry_at = now_ms() + (soon ? 0 : backoff_ms(stream->broker, stream->failures));
    if (!soon)
        stream->failures++;
}

void streams_free_ended(mb_broker *broker)
{
    if (broker->depth > 0)
        return;
    for (struct stream **place = &broker->streams; *place != NULL;) {
        struct stream *const stream = *place;
        if (!stream->ended) {
            place = &stream->next;
            continue;
        }
        *place = stream->next;
        hang_up(stream);
        stream->kind->release(stream);
    }
}

/* Its handler may be running on a reply that lies in the connection: that ends with the turn. */
void stream_end(struct stream *stream)
{
    stream->ended = true;
    streams_free_ended(stream->broker);
}

void stream_rest(struct stream *stream)
{
    hang_up(stream);
    stream->idle = true;
}

mb_code stream_send(struct stream *stream, const char *method, const struct text *parameters, bool more, mb_error *error)
{
    struct text whole = {0};
    bool sent;
    stream->method = method;
    mb_code code = finish_call(&whole, method, parameters, more, error);
    /* The socket is empty, and a call is short: it does not wait. */
    if (code == MB_OK)
        code = connection_send(&stream->connection, whole.at, whole.used + 1, now_ms(), &sent, error);
    text_free(&whole);
    return code;
}

static mb_code open_stream(struct stream *stream, mb_error *error)
{
    struct epoll_event event = {.events = EPOLLIN};
    mb_code code = connection_open(&stream->connection, stream->broker->path, error);
    if (code == MB_OK && epoll_ctl(stream->broker->epoll, EPOLL_CTL_ADD, stream->connection.fd, &event) != 0)
        code = fail_system(error, MB_BROKER_UNREACHABLE, errno, "epoll_ctl");
    if (code == MB_OK)
        code = stream->kind->begin(stream, error);
    return code;
}

static void handle(struct stream *stream, struct reply *reply)
{
    mb_error error;
    const mb_code code = error_of(reply->error, reply->parameters, &error);
    stream->failures = 0;
    if (code == MB_OK) {
        stream->error.code = MB_OK;
        const bool good = stream->kind->receive(stream, reply);
        fds_close(&reply->fds);
        if (!good && !stream->ended)
            stream_restart(stream, stream->error.code == MB_OK);
        return;
    }
    stream->error = error;
    if (!stream->kind->refused(stream, &error) && !stream->ended)
        stream_restart(stream, false);
}

/* One step, without waiting. False: there is nothing to do now. */
static bool step(struct stream *stream)
{
    struct reply reply;
    mb_error error;
    mb_code code;
    if (stream->ended || stream->idle || stream->broker->closing)
        return false;
    if (stream->connection.fd < 0) {
        if (now_ms() < stream->retry_at)
            return false;
        code = open_stream(stream, &error);
    } else {
        code = connection_next(&stream->connection, stream->method, now_ms(), &reply, &error);
        if (code == MB_TIMED_OUT)
            return false;
        if (code == MB_OK)
            handle(stream, &reply);
    }
    if (code != MB_OK) {
        stream->error = error;
        stream_restart(stream, false);
    }
    return true;
}

void streams_turn(mb_broker *broker)
{
    /* Handlers may add streams, at the list's head; none is freed while depth is not 0. */
    for (struct stream *stream = broker->streams; stream != NULL; stream = stream->next)
        for (int count = 0; count < replies_per_turn && step(stream); count++)
            continue;
}

/* A failure after which another try may go well. */
static bool may_pass(mb_code code)
{
    return code == MB_OK || code == MB_BROKER_UNREACHABLE || code == MB_CONNECTION_LOST;
}

mb_code stream_wait(struct stream *stream, const bool *good, mb_error *error)
{
    mb_broker *const broker = stream->broker;
    const int64_t deadline = deadline_in(broker->reconnect_ms > 0 ? broker->reconnect_ms : broker->greet_ms);
    stream->error.code = MB_OK;
    mb_code code = MB_OK;
    while (!*good) {
        if (step(stream)) {
            code = stream->error.code;
            if (!*good && !may_pass(code))
                break;
            continue;
        }
        if (now_ms() >= deadline) {
            code = code != MB_OK ? code : fail(&stream->error, MB_BROKER_UNREACHABLE, "the broker did not answer in time");
            break;
        }
        struct pollfd one = {.fd = stream->connection.fd, .events = POLLIN};
        const int64_t until = one.fd < 0 && stream->retry_at < deadline ? stream->retry_at : deadline;
        poll(&one, one.fd >= 0, left_ms(until));
    }
    if (*good)
        code = MB_OK;
    else
        *error = stream->error;
    arm(broker);
    return code;
}

/* Whether a reply lies in the buffer that no socket will tell of. */
static bool has_buffered(const struct stream *stream)
{
    const struct connection *const from = &stream->connection;
    return from->used > from->looked && memchr(from->in + from->looked, 0, from->used - from->looked) != NULL;
}

void arm(mb_broker *broker)
{
    const int64_t now = now_ms();
    int64_t at = broker->is_up != broker->was_up || next_waiting(broker) != NULL ? now : INT64_MAX;
    for (const struct stream *stream = broker->streams; stream != NULL; stream = stream->next) {
        if (stream->ended || stream->idle)
            continue;
        const int64_t due = stream->connection.fd < 0 ? stream->retry_at : has_buffered(stream) ? now : INT64_MAX;
        at = due < at ? due : at;
    }
    struct itimerspec when = {{0, 0}, {0, 0}};
    if (at != INT64_MAX) {
        const int64_t wait = at > now ? at - now : 0;
        when.it_value.tv_sec = (time_t)(wait / 1000);
        when.it_value.tv_nsec = (long)(wait % 1000) * 1000000 + 1; /* 0 would stop it */
    }
    timerfd_settime(broker->timer, 0, &when, NULL);
}
