/* A program's own watch of the broker's state. */
#include "error.h"
#include "info.h"
#include "link.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>

struct mb_watch {
    struct stream stream;
    bool mine, again;
    struct list_builder rows;
    mb_watch_handler handler;
    void *context;
};

static mb_code begin(struct stream *stream, mb_error *error)
{
    mb_watch *const watch = (mb_watch *)stream;
    struct text parameters = {0};
    list_discard(&watch->rows);
    text_true(&parameters, "mine", watch->mine);
    const mb_code code = stream_send(stream, "Watch", &parameters, true, error);
    text_free(&parameters);
    return code;
}

static void tell(mb_watch *watch, const mb_watch_item *item)
{
    if (!watch->stream.ended && !watch->stream.broker->closing)
        watch->handler(watch->context, item);
}

static bool tell_snapshot(mb_watch *watch)
{
    mb_list *const list = list_finish(&watch->rows);
    if (list == NULL)
        return false;
    const mb_watch_item item = {.snapshot = list, .again = watch->again};
    watch->again = true;
    tell(watch, &item);
    mb_list_free(list);
    return true;
}

static bool number(json event, const char *name, int64_t *value)
{
    return json_integer(json_get(event, name), value);
}

static void tell_event(mb_watch *watch, json from)
{
    struct arena *arena = NULL;
    int64_t uid = 0, pid = 0, offset = 0, bytes = 0, guest_address = 0;
    mb_event event;
    memset(&event, 0, sizeof event);
    number(from, "sequence", &event.sequence);
    number(from, "time", &event.time);
    event.kind = read_text(json_get(from, "kind"), &arena);
    event.allocation = read_text(json_get(from, "allocation"), &arena);
    event.range = read_text(json_get(from, "range"), &arena);
    event.detail = read_text(json_get(from, "detail"), &arena);
    event.has_mapping = number(from, "mapping", &event.mapping);
    event.has_deadline = number(from, "deadline", &event.deadline);
    event.has_uid = number(from, "uid", &uid) && uid >= 0 && uid <= UINT32_MAX;
    event.has_pid = number(from, "pid", &pid) && pid >= 0 && pid <= INT32_MAX;
    event.has_offset = number(from, "offset", &offset) && offset >= 0;
    event.has_bytes = number(from, "bytes", &bytes) && bytes >= 0;
    event.has_guest_address = number(from, "guestAddress", &guest_address) && guest_address >= 0;
    event.uid = event.has_uid ? (uint32_t)uid : 0;
    event.pid = event.has_pid ? (int32_t)pid : 0;
    event.offset = event.has_offset ? (uint64_t)offset : 0;
    event.bytes = event.has_bytes ? (uint64_t)bytes : 0;
    event.guest_address = event.has_guest_address ? (uint64_t)guest_address : 0;
    const json access = json_get(from, "access");
    event.has_access = json_is_string(access);
    event.access = json_is(access, "read") ? MB_READ : MB_READ_WRITE;
    const mb_watch_item item = {.event = &event};
    if (event.kind != NULL)
        tell(watch, &item);
    arena_free(arena);
}

static bool receive(struct stream *stream, const struct reply *reply)
{
    mb_watch *const watch = (mb_watch *)stream;
    const json parameters = reply->parameters, event = json_get(parameters, "event");
    bool end = false;
    int64_t missed = 0;
    if (reply->fds.count > 0 || !list_add(&watch->rows, json_get(parameters, "allocations"), json_get(parameters, "mappings"))) {
        violation(&stream->error, "Watch", "it is not as the contract says");
        return false;
    }
    if (json_boolean(json_get(parameters, "snapshotEnd"), &end) && end && !tell_snapshot(watch))
        return false;
    if (json_integer(json_get(parameters, "missed"), &missed) && missed > 0) {
        const mb_watch_item item = {.missed = missed};
        tell(watch, &item);
    }
    if (json_is_object(event))
        tell_event(watch, event);
    return reply->continues;
}

/* A refusal does not pass by itself: the watch is over. */
static bool refused(struct stream *stream, const mb_error *error)
{
    stream_rest(stream);
    warn(stream->broker, error);
    return true;
}

static void release(struct stream *stream)
{
    mb_watch *const watch = (mb_watch *)stream;
    list_discard(&watch->rows);
    free(watch);
}

static const struct stream_kind stream_kind = {begin, receive, refused, release, NULL};

mb_code mb_watch_begin(mb_broker *broker, bool mine, mb_watch_handler handler, void *context, mb_watch **result, mb_error *error)
{
    error = ERROR_OR_OWN(error);
    if (check_broker(broker, error) != MB_OK)
        return error->code;
    if (handler == NULL)
        return fail(error, MB_INVALID_ARGUMENT, "handler: it is NULL");
    mb_watch *const watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return fail(error, MB_NO_MEMORY, "no memory for a watch");
    watch->mine = mine;
    watch->handler = handler;
    watch->context = context;
    stream_add(broker, &watch->stream, &stream_kind);
    arm(broker);
    *result = watch;
    return MB_OK;
}

void mb_watch_end(mb_watch *watch)
{
    if (watch != NULL)
        stream_end(&watch->stream);
}
