/* A connection from mb_connect() to mb_close(), and the turns of mb_dispatch() in between. */
#include "dispatch.h"
#include "error.h"
#include "link.h"
#include "mapping.h"
#include "notices.h"
#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

void broker_free(mb_broker *broker)
{
    while (broker->mappings != NULL)
        mapping_free(broker->mappings);
    while (broker->streams != NULL)
        stream_end(broker->streams);
    connection_close(&broker->main);
    if (broker->timer >= 0)
        close(broker->timer);
    if (broker->epoll >= 0)
        close(broker->epoll);
    free(broker->early);
    free(broker->others);
    free(broker->path);
    free(broker);
}

enum { backlog_ms = 5000, backlog_pause_ms = 5 };

static bool exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

/* As the TypeScript library chooses: a user's own broker comes first, also when nobody listens at its socket any more. */
static char *choose_socket(const char *named)
{
    if (named == NULL) {
        const char *const said = getenv("MEMBROKER_SOCKET");
        named = said != NULL && *said != 0 ? said : NULL;
    }
    if (named == NULL && getuid() != 0) {
        const char *const runtime = getenv("XDG_RUNTIME_DIR");
        char own[4096];
        if (runtime != NULL && *runtime == '/')
            snprintf(own, sizeof own, "%s/membroker/broker.sock", runtime);
        else
            snprintf(own, sizeof own, "/run/user/%u/membroker/broker.sock", (unsigned)getuid());
        if (exists(own))
            return strdup(own);
    }
    return strdup(named == NULL ? MB_DEFAULT_SOCKET : named);
}

static mb_code open_events(mb_broker *broker, mb_error *error)
{
    struct epoll_event event = {.events = EPOLLIN};
    broker->epoll = epoll_create1(EPOLL_CLOEXEC);
    broker->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (broker->epoll < 0 || broker->timer < 0 || epoll_ctl(broker->epoll, EPOLL_CTL_ADD, broker->timer, &event) != 0)
        return fail_system(error, MB_BROKER_UNREACHABLE, errno, "epoll");
    return MB_OK;
}

/* A full backlog drains within the time the broker needs for one accept; beyond that it is stuck. */
static mb_code connect_first(mb_broker *broker, mb_error *error)
{
    const int64_t give_up_at = deadline_in(backlog_ms);
    for (;;) {
        const mb_code code = greet(broker, &broker->main, deadline_in(broker->greet_ms), error);
        if (code != MB_BROKER_UNREACHABLE || error->system_error != EAGAIN || now_ms() >= give_up_at)
            return code;
        pause_ms(backlog_pause_ms, give_up_at);
    }
}

mb_code mb_connect(const mb_connect_options *options, mb_broker **result, mb_error *error)
{
    static const mb_connect_options defaults;
    error = ERROR_OR_OWN(error);
    options = options == NULL ? &defaults : options;
    if (check_reserved(options->reserved, error) != MB_OK)
        return error->code;
    mb_broker *const broker = calloc(1, sizeof *broker);
    if (broker == NULL)
        return fail(error, MB_NO_MEMORY, "no memory for a connection");
    broker->epoll = broker->timer = -1;
    connection_init(&broker->main);
    broker->path = choose_socket(options->socket);
    broker->pid = getpid();
    broker->reconnect_ms = options->reconnect_ms == 0 ? 30000 : options->reconnect_ms < 0 ? 0 : options->reconnect_ms;
    broker->greet_ms = broker->reconnect_ms == 0 ? 30000 : broker->reconnect_ms;
    broker->call_ms = options->call_ms == 0 ? 60000 : options->call_ms;
    broker->random = (uint64_t)now_ms() * 2654435761u ^ (uint64_t)broker->pid << 32 ^ (uintptr_t)broker ^ 1;
    mb_code code = broker->path == NULL ? fail(error, MB_NO_MEMORY, "no memory for a connection") : open_events(broker, error);
    if (code == MB_OK)
        code = connect_first(broker, error);
    if (code == MB_OK)
        *result = broker;
    else
        broker_free(broker);
    return code;
}

void mb_close(mb_broker *broker)
{
    if (broker == NULL || broker->pid != getpid())
        return;
    broker->closing = true;
    if (broker->depth == 0)
        broker_free(broker);
}

int mb_fd(const mb_broker *broker)
{
    return broker->epoll;
}

void mb_set_handlers(mb_broker *broker, const mb_handlers *handlers)
{
    broker->handlers = *handlers;
}

mb_code mb_dispatch(mb_broker *broker, int timeout_ms, mb_error *error)
{
    struct epoll_event events[8];
    uint64_t expirations;
    error = ERROR_OR_OWN(error);
    if (check_broker(broker, error) != MB_OK)
        return error->code;
    if (broker->depth > 0)
        return fail(error, MB_INVALID_ARGUMENT, "broker: a handler can't dispatch");
    if (epoll_wait(broker->epoll, events, 8, timeout_ms) < 0 && errno != EINTR)
        return fail_system(error, MB_INVALID_ARGUMENT, errno, "epoll_wait");
    if (read(broker->timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN)
        return fail_system(error, MB_INVALID_ARGUMENT, errno, "read of the timer");
    broker->depth++;
    streams_turn(broker);
    announce(broker);
    broker->depth--;
    streams_free_ended(broker);
    if (broker->closing) {
        if (!broker->releasing)
            broker_free(broker);
        return MB_OK;
    }
    arm(broker);
    return MB_OK;
}
