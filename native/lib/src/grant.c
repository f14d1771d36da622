/* Grants, and their ends. */
#include "grant.h"
#include "dispatch.h"
#include "error.h"
#include "link.h"
#include "mapping.h"
#include "notices.h"

#include <poll.h>

mb_code create_mapping(mb_broker *broker, const char *name, const mb_map_options *options, mb_mapping **mapping, mb_error *error)
{
    struct text parameters = {0};
    struct reply reply;
    text_string(&parameters, "name", name);
    if (options->offset > 0)
        text_size(&parameters, "offset", options->offset);
    if (options->length > 0)
        text_size(&parameters, "length", options->length);
    if (options->access != MB_READ_WRITE)
        text_string(&parameters, "access", "read");
    if (options->has_guest_address)
        text_size(&parameters, "guestAddress", options->guest_address);
    text_object(&parameters, "metadata", options->metadata);
    text_string(&parameters, "secret", options->secret);
    if (call(broker, "CreateMapping", &parameters, repeat_never, &reply, error) != MB_OK)
        return error->code;
    const json grant = json_get(reply.parameters, "grant");
    const char *const problem = json_is_object(grant) ? check_grants(grant, (json){0}, &reply.fds) : "it has no grant";
    if (problem != NULL) {
        fds_close(&reply.fds);
        return violation(error, "CreateMapping", problem);
    }
    mb_mapping *const made = adopt_grant(broker, "CreateMapping", grant, &reply.fds, error);
    fds_close(&reply.fds);
    if (made == NULL)
        return error->code;
    *mapping = made;
    return MB_OK;
}

mb_code mb_map(mb_broker *broker, const char *name, const mb_map_options *options, mb_mapping **mapping, mb_error *error)
{
    static const mb_map_options defaults;
    error = ERROR_OR_OWN(error);
    options = options == NULL ? &defaults : options;
    if (check_broker(broker, error) != MB_OK || check_reserved(options->reserved, error) != MB_OK)
        return error->code;
    if (name == NULL)
        return fail(error, MB_INVALID_ARGUMENT, "name: it is NULL");
    if (options->access != MB_READ_WRITE && options->access != MB_READ)
        return fail(error, MB_INVALID_ARGUMENT, "access: it is neither MB_READ_WRITE nor MB_READ");
    const mb_code code = prepare_notices(broker, error);
    return code != MB_OK ? code : create_mapping(broker, name, options, mapping, error);
}

/* The next reply; the notices go on meanwhile where the caller may run handlers. */
static mb_code next_step(mb_broker *broker, struct connection *connection, const char *method, int64_t deadline, bool dispatching,
                         struct reply *reply, mb_error *error)
{
    for (;;) {
        const mb_code code = connection_next(connection, method, dispatching ? now_ms() : deadline, reply, error);
        if (code != MB_TIMED_OUT || !dispatching || now_ms() >= deadline)
            return code;
        struct pollfd both[] = {{.fd = connection->fd, .events = POLLIN}, {.fd = broker->epoll, .events = POLLIN}};
        if (poll(both, 2, left_ms(deadline)) > 0 && both[1].revents != 0 && mb_dispatch(broker, 0, error) != MB_OK)
            return error->code;
        if (broker->closing)
            return fail(error, MB_CLOSED, "this broker connection was closed by mb_close()");
    }
}

static mb_code one_end(mb_broker *broker, const struct text *whole, const char *method, int64_t deadline, bool dispatching,
                       mb_outcome *outcome, mb_error *error)
{
    struct connection connection;
    struct reply reply;
    bool sent;
    mb_code code = dial(broker, deadline_in(broker->reconnect_ms), &connection, error);
    if (code != MB_OK)
        return code;
    code = connection_send(&connection, whole->at, whole->used + 1, deadline, &sent, error);
    for (bool more = true; code == MB_OK && more;) {
        code = next_step(broker, &connection, method, deadline, dispatching, &reply, error);
        if (code != MB_OK)
            break;
        more = reply.continues;
        const json result = json_get(reply.parameters, "outcome");
        code = no_descriptors(&reply, method, error);
        if (code == MB_OK)
            code = error_of(reply.error, reply.parameters, error);
        if (code != MB_OK || more)
            continue;
        if (json_is(result, "revoked") || json_is(result, "released"))
            *outcome = MB_ENDED_WITH_PROOF;
        else if (json_is(result, "quarantined"))
            *outcome = MB_QUARANTINED;
        else
            code = violation(error, method, "its outcome is none of the contract's");
    }
    connection_close(&connection);
    return code;
}

mb_code end_call(mb_broker *broker, const char *method, struct text *parameters, int64_t deadline, bool repeatable, bool dispatching,
                 mb_outcome *outcome, mb_error *error)
{
    struct text whole = {0};
    mb_code code = finish_call(&whole, method, parameters, true, error);
    text_free(parameters);
    if (code == MB_OK) {
        struct patience patience = {0};
        do
            code = one_end(broker, &whole, method, deadline, dispatching, outcome, error);
        while (code == MB_CONNECTION_LOST && repeatable && may_try_again(broker, &patience));
    }
    text_free(&whole);
    return code;
}

mb_code mb_mapping_close(mb_mapping *mapping, mb_outcome *outcome, mb_error *error)
{
    mb_outcome found = MB_ALREADY_GONE;
    struct text parameters = {0};
    error = ERROR_OR_OWN(error);
    if (mapping == NULL)
        return MB_OK;
    mb_broker *const broker = mapping->broker;
    if (check_broker(broker, error) != MB_OK)
        return error->code;
    const bool tell = mapping->state == MB_HELD || mapping->state == MB_REVOKING;
    text_integer(&parameters, "mapping", mapping->info->id);
    mapping_free(mapping);
    if (!tell)
        text_free(&parameters);
    else if (end_call(broker, "RevokeMapping", &parameters, deadline_in(broker->call_ms), true, false, &found, error) != MB_OK &&
             error->code != MB_NOT_FOUND)
        return error->code;
    if (outcome != NULL)
        *outcome = found;
    return MB_OK;
}

static mb_code end_by(mb_broker *broker, const char *method, struct text *parameters, const mb_end_options *options, bool repeatable,
                      bool dispatching, mb_outcome *outcome, mb_error *error)
{
    mb_outcome found;
    if (options->has_grace)
        text_integer(parameters, "graceMs", options->grace_ms);
    text_string(parameters, "secret", options->secret);
    const int64_t deadline = options->timeout_ms <= 0 ? INT64_MAX : deadline_in(options->timeout_ms);
    const mb_code code = end_call(broker, method, parameters, deadline, repeatable, dispatching, &found, error);
    if (code == MB_OK && outcome != NULL)
        *outcome = found;
    return code;
}

static const mb_end_options end_defaults;

mb_code mb_release(mb_broker *broker, const char *name, const mb_end_options *options, mb_outcome *outcome, mb_error *error)
{
    struct text parameters = {0};
    error = ERROR_OR_OWN(error);
    options = options == NULL ? &end_defaults : options;
    if (check_broker(broker, error) != MB_OK || check_reserved(options->reserved, error) != MB_OK)
        return error->code;
    if (name == NULL)
        return fail(error, MB_INVALID_ARGUMENT, "name: it is NULL");
    if (broker->depth > 0)
        return fail(error, MB_INVALID_ARGUMENT, "broker: a handler can't release");
    text_string(&parameters, "name", name);
    broker->releasing = true;
    const mb_code code = end_by(broker, "Release", &parameters, options, false, true, outcome, error);
    broker->releasing = false;
    if (broker->closing)
        broker_free(broker);
    return code;
}

mb_code mb_revoke(mb_broker *broker, int64_t id, const mb_end_options *options, mb_outcome *outcome, mb_error *error)
{
    struct text parameters = {0};
    error = ERROR_OR_OWN(error);
    options = options == NULL ? &end_defaults : options;
    if (check_broker(broker, error) != MB_OK || check_reserved(options->reserved, error) != MB_OK)
        return error->code;
    mb_mapping *const own = mapping_of(broker, id);
    if (own != NULL)
        mapping_drop(own);
    text_integer(&parameters, "mapping", id);
    return end_by(broker, "RevokeMapping", &parameters, options, own != NULL, false, outcome, error);
}
