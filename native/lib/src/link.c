/* The way to the broker: the shared connection, and others for calls that may take long. */
#include "link.h"
#include "error.h"

#include <time.h>
#include <unistd.h>

static const char interface_name[] = "io.membroker.Broker.";

enum { delay_min_ms = 10, delay_max_ms = 1000 };

mb_code check_broker(const mb_broker *broker, mb_error *error)
{
    if (broker == NULL)
        return fail(error, MB_INVALID_ARGUMENT, "broker: it is NULL");
    if (broker->closing)
        return fail(error, MB_CLOSED, "this broker connection was closed by mb_close()");
    if (broker->pid != getpid())
        return fail(error, MB_INVALID_ARGUMENT, "broker: process %d made it; a child must connect anew", (int)broker->pid);
    return MB_OK;
}

mb_code check_reserved(const uintptr_t reserved[4], mb_error *error)
{
    return (reserved[0] | reserved[1] | reserved[2] | reserved[3]) == 0 ? MB_OK : fail(error, MB_INVALID_ARGUMENT, "reserved: this library is older than its header, or it is not zero");
}

/* As a program's own xorshift: only so that many clients of a restarted broker do not come back in step. */
static uint64_t random_of(mb_broker *broker)
{
    broker->random ^= broker->random << 13;
    broker->random ^= broker->random >> 7;
    broker->random ^= broker->random << 17;
    return broker->random;
}

int64_t backoff_ms(mb_broker *broker, unsigned attempt)
{
    const int64_t doubled = attempt > 10 ? delay_max_ms : (int64_t)delay_min_ms << attempt;
    const int64_t full = doubled > delay_max_ms ? delay_max_ms : doubled;
    return full / 2 + (int64_t)(random_of(broker) % (uint64_t)(full / 2 + 1));
}

void pause_ms(int64_t ms, int64_t deadline)
{
    const int64_t left = deadline == INT64_MAX ? ms : deadline - now_ms();
    const int64_t time = left < ms ? left : ms;
    const struct timespec pause = {.tv_sec = (time_t)(time / 1000), .tv_nsec = (long)(time % 1000) * 1000000};
    if (time > 0)
        nanosleep(&pause, NULL);
}

mb_code finish_call(struct text *whole, const char *method, const struct text *parameters, bool more, mb_error *error)
{
    text_add(whole, "{\"method\":\"");
    text_add(whole, interface_name);
    text_add(whole, method);
    text_add(whole, "\",\"parameters\":{");
    if (parameters->at != NULL)
        text_add(whole, parameters->at);
    text_add(whole, more ? "},\"more\":true}" : "}}");
    if (whole->no_memory || parameters->no_memory)
        return fail(error, MB_NO_MEMORY, "no memory for a call");
    if (parameters->wrong != NULL)
        return fail(error, MB_INVALID_ARGUMENT, "%s: it is no valid UTF-8, or no JSON object", parameters->wrong);
    if (whole->used > message_bytes_max)
        return fail(error, MB_INVALID_ARGUMENT, "parameters: call of %zu bytes, at most %d", whole->used, message_bytes_max);
    return MB_OK;
}

/* One call and its first reply. *sent: some of the call left. */
static mb_code exchange(struct connection *connection, const char *message, size_t bytes, const char *method, int64_t deadline,
                        struct reply *reply, bool *sent, mb_error *error)
{
    mb_code code = connection_send(connection, message, bytes, deadline, sent, error);
    if (code == MB_OK)
        code = connection_next(connection, method, deadline, reply, error);
    if (code == MB_OK && reply->continues) {
        fds_close(&reply->fds);
        code = violation(error, method, "several replies to a call without more");
    }
    return code;
}

mb_code no_descriptors(struct reply *reply, const char *method, mb_error *error)
{
    if (reply->fds.count == 0)
        return MB_OK;
    fds_close(&reply->fds);
    return violation(error, method, "a reply with descriptors that were not asked for");
}

mb_code greet(mb_broker *broker, struct connection *connection, int64_t deadline, mb_error *error)
{
    static const char hello[] = "{\"method\":\"io.membroker.Broker.GetStatus\",\"parameters\":{}}";
    struct reply reply;
    bool sent;
    int64_t number;
    mb_code code = connection_open(connection, broker->path, error);
    if (code != MB_OK)
        return code;
    code = exchange(connection, hello, sizeof hello, "GetStatus", deadline, &reply, &sent, error);
    if (code == MB_OK)
        code = no_descriptors(&reply, "GetStatus", error);
    if (code == MB_OK)
        code = error_of(reply.error, reply.parameters, error);
    if (code == MB_OK && (!json_is_string(json_get(reply.parameters, "version")) ||
                          !json_is_string(json_get(reply.parameters, "bootId")) ||
                          !json_integer(json_get(reply.parameters, "pid"), &number) ||
                          !json_integer(json_get(reply.parameters, "startedAt"), &number)))
        code = violation(error, "GetStatus", "it is not as the contract says");
    if (code != MB_OK)
        connection_close(connection);
    if (code == MB_CONNECTION_LOST)
        return fail(error, MB_BROKER_UNREACHABLE,
                    "the program at %.200s closed the connection without an answer: it may be at its limit of clients, shutting down, or "
                    "no membrokerd",
                    broker->path);
    if (code == MB_TIMED_OUT)
        return fail(error, MB_BROKER_UNREACHABLE, "the program at %.200s accepted the connection but did not answer in time", broker->path);
    return code;
}

/* Whether the next attempt may find a broker. */
static bool may_come(mb_code code)
{
    return code == MB_BROKER_UNREACHABLE;
}

/* The shared connection, waiting for it until the deadline where it is down. */
static mb_code up(mb_broker *broker, int64_t deadline, mb_error *error)
{
    if (broker->main.fd >= 0 && !connection_ended(&broker->main))
        return MB_OK;
    connection_close(&broker->main);
    for (unsigned attempt = 0;; attempt++) {
        const mb_code code = greet(broker, &broker->main, deadline_in(broker->greet_ms), error);
        if (code == MB_OK || !may_come(code) || now_ms() >= deadline)
            return code;
        pause_ms(backoff_ms(broker, attempt), deadline);
    }
}

mb_code dial(mb_broker *broker, int64_t deadline, struct connection *connection, mb_error *error)
{
    for (unsigned attempt = 0;; attempt++) {
        const mb_code code = connection_open(connection, broker->path, error);
        if (code == MB_OK || now_ms() >= deadline)
            return code;
        pause_ms(backoff_ms(broker, attempt), deadline);
    }
}

bool may_try_again(mb_broker *broker, struct patience *patience)
{
    if (patience->breaks == 0)
        patience->give_up_at = deadline_in(broker->reconnect_ms);
    if (now_ms() >= patience->give_up_at)
        return false;
    pause_ms(backoff_ms(broker, patience->breaks++), patience->give_up_at);
    return true;
}

mb_code call(mb_broker *broker, const char *method, struct text *parameters, enum repeat repeat, struct reply *reply, mb_error *error)
{
    struct text whole = {0};
    mb_code code = finish_call(&whole, method, parameters, false, error);
    struct patience patience = {.give_up_at = deadline_in(broker->reconnect_ms)};
    text_free(parameters);
    while (code == MB_OK) {
        bool sent = false;
        code = up(broker, patience.give_up_at, error);
        if (code != MB_OK)
            break;
        code = exchange(&broker->main, whole.at, whole.used + 1, method, deadline_in(broker->call_ms), reply, &sent, error);
        if (code == MB_OK)
            break;
        connection_close(&broker->main);
        if (code != MB_CONNECTION_LOST)
            break;
        if ((sent && repeat == repeat_never) || !may_try_again(broker, &patience)) {
            fail(error, code,
                 "the connection broke while %s was in progress: the broker carried it out entirely, or not at all. Check the current state "
                 "before you repeat it",
                 method);
            break;
        }
        code = MB_OK;
    }
    text_free(&whole);
    if (code != MB_OK)
        return code;
    code = error_of(reply->error, reply->parameters, error);
    if (code != MB_OK)
        fds_close(&reply->fds);
    return code;
}

mb_code plain_call(mb_broker *broker, const char *method, struct text *parameters, enum repeat repeat, struct reply *reply,
                   mb_error *error)
{
    const mb_code code = call(broker, method, parameters, repeat, reply, error);
    return code == MB_OK ? no_descriptors(reply, method, error) : code;
}
