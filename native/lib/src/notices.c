/* The broker's notices about this process' mappings: revoke requests, and at each beginning the mappings that it knows. */
#include "notices.h"
#include "errands.h"
#include "error.h"
#include "info.h"
#include "mapping.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>

static mb_code begin(struct stream *stream, mb_error *error)
{
    struct text parameters = {0};
    mb_broker *const broker = stream->broker;
    for (mb_mapping *mapping = broker->mappings; mapping != NULL; mapping = mapping->next) {
        mapping->judged = true;
        mapping->known = false;
    }
    /* The snapshot tells of every request anew. */
    broker->early_count = 0;
    if (!broker->knows_others)
        broker->others_count = 0;
    text_true(&parameters, "mine", true);
    const mb_code code = stream_send(stream, "Watch", &parameters, true, error);
    text_free(&parameters);
    return code;
}

static bool take_row(mb_broker *broker, const mb_mapping_info *row)
{
    if (!broker->knows_others && row->state == MB_HELD) {
        int64_t *const ids = with_room(broker->others, broker->others_count, &broker->others_room, sizeof *ids);
        if (ids == NULL)
            return false;
        broker->others = ids;
        ids[broker->others_count++] = row->id;
    }
    for (mb_mapping *mapping = broker->mappings; mapping != NULL; mapping = mapping->next)
        if (mapping->fd >= 0 && same_mapping(mapping->info, row))
            mapping->known = true;
    if (row->state == MB_REVOKING)
        request_revoke(broker, row->id, 0, (json){0});
    return true;
}

static void end_snapshot(mb_broker *broker)
{
    for (mb_mapping *mapping = broker->mappings; mapping != NULL; mapping = mapping->next) {
        if (!mapping->judged || mapping->known || mapping->fd < 0 || mapping->state == MB_LOST)
            continue;
        mapping->state = MB_LOST;
        mapping->announced = false;
    }
    broker->ready = broker->is_up = broker->knows_others = true;
}

static void take_event(mb_broker *broker, json event)
{
    int64_t id, deadline = 0;
    const json kind = json_get(event, "kind");
    if (!json_integer(json_get(event, "mapping"), &id))
        return;
    if (json_is(kind, "revoked") || json_is(kind, "dormant"))
        forget_request(broker, id);
    else if (json_is(kind, "revokeRequested")) {
        json_integer(json_get(event, "deadline"), &deadline);
        request_revoke(broker, id, deadline, json_get(event, "detail"));
    }
}

static bool receive(struct stream *stream, const struct reply *reply)
{
    mb_broker *const broker = stream->broker;
    struct list_builder rows = {0};
    bool end = false;
    int64_t missed = 0;
    if (reply->fds.count > 0 || !list_add(&rows, (json){0}, json_get(reply->parameters, "mappings"))) {
        list_discard(&rows);
        violation(&stream->error, "Watch", "it is not as the contract says");
        return false;
    }
    bool good = true;
    for (size_t index = 0; good && index < rows.mapping_count; index++)
        good = take_row(broker, rows.mappings[index]);
    list_discard(&rows);
    if (!good) {
        fail(&stream->error, MB_NO_MEMORY, "no memory for the notices");
        return false;
    }
    if (json_boolean(json_get(reply->parameters, "snapshotEnd"), &end) && end)
        end_snapshot(broker);
    take_event(broker, json_get(reply->parameters, "event"));
    /* A missed event may be a revoke request; a new stream begins with the state. */
    json_integer(json_get(reply->parameters, "missed"), &missed);
    return missed == 0 && reply->continues;
}

static bool refused(struct stream *stream, const mb_error *error)
{
    (void)stream;
    (void)error;
    return false;
}

static void lost(struct stream *stream)
{
    stream->broker->ready = stream->broker->is_up = false;
}

static void release(struct stream *stream)
{
    free(stream);
}

static const struct stream_kind stream_kind = {begin, receive, refused, release, lost};

mb_code prepare_notices(mb_broker *broker, mb_error *error)
{
    if (broker->notices == NULL) {
        struct stream *const stream = calloc(1, sizeof *stream);
        if (stream == NULL)
            return fail(error, MB_NO_MEMORY, "no memory for the notices");
        stream_add(broker, stream, &stream_kind);
        broker->notices = stream;
    }
    if (broker->ready && connection_hung_up(&broker->notices->connection))
        stream_restart(broker->notices, true);
    return broker->ready ? MB_OK : stream_wait(broker->notices, &broker->ready, error);
}

static void announce_revoke(mb_broker *broker, mb_mapping *mapping)
{
    const int64_t id = mapping->info->id, left = mapping->deadline_ms - now_ms();
    const mb_revoke_notice notice = {mapping->deadline, left > 0 ? left : 0, mapping->detail};
    const mb_reply reply = mapping->handler == NULL ? MB_DONE : mapping->handler(mapping->context, mapping, &notice);
    /* The handler may have closed it. */
    if (reply != MB_DONE || broker->closing || mapping_of(broker, id) != mapping)
        return;
    struct text parameters = {0};
    mb_error error;
    mapping_drop(mapping);
    text_integer(&parameters, "mapping", id);
    if (run_errand(broker, errand_revoke, &parameters, &error) != MB_OK)
        warn(broker, &error);
}

static void announce_connection(mb_broker *broker)
{
    const mb_handlers *const handlers = &broker->handlers;
    const bool first = !broker->was_up && !broker->told_down;
    broker->was_up = broker->is_up;
    if (broker->is_up) {
        if (!first && handlers->reconnected != NULL)
            handlers->reconnected(handlers->context);
        return;
    }
    broker->told_down = true;
    if (handlers->disconnected != NULL)
        handlers->disconnected(handlers->context, &broker->notices->error);
}

void announce(mb_broker *broker)
{
    if (broker->is_up != broker->was_up)
        announce_connection(broker);
    for (mb_mapping *mapping; !broker->closing && (mapping = next_waiting(broker)) != NULL;) {
        mapping->announced = true;
        if (mapping->state == MB_REVOKING)
            announce_revoke(broker, mapping);
        else if (broker->handlers.mapping_lost != NULL)
            broker->handlers.mapping_lost(broker->handlers.context, mapping);
    }
}
