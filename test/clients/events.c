#include "events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { events_max = 256 };

bool answers_later;
bool is_stuck;
int64_t update_asked;

static struct {
    char name[name_bytes];
    mb_mapping *mapping;
} mappings[slots];
static struct {
    char kind[name_bytes];
    char *details;
} events[events_max];
static size_t event_count;

mb_mapping **slot_of(const char *name)
{
    for (int index = 0; index < slots; index++)
        if (mappings[index].mapping != NULL && name != NULL && strcmp(mappings[index].name, name) == 0)
            return &mappings[index].mapping;
    fprintf(stderr, "driver: no mapping %s\n", name);
    exit(1);
}
mb_mapping *named_mapping(const char *name)
{
    return *slot_of(name);
}
void name_mapping(const char *name, mb_mapping *mapping)
{
    for (int index = 0; index < slots; index++)
        if (mappings[index].mapping == NULL) {
            snprintf(mappings[index].name, name_bytes, "%s", name);
            mappings[index].mapping = mapping;
            return;
        }
}
const char *name_of(const mb_mapping *mapping)
{
    for (int index = 0; index < slots; index++)
        if (mappings[index].mapping == mapping)
            return mappings[index].name;
    return "";
}

static void happened(const char *kind, const char *details)
{
    if (event_count == events_max)
        exit(1);
    snprintf(events[event_count].kind, name_bytes, "%s", kind);
    events[event_count++].details = strdup(details);
}
static void happened_to(const char *kind, const mb_mapping *mapping)
{
    char text[128];
    snprintf(text, sizeof text, "{\"mapping\":\"%s\"}", name_of(mapping));
    happened(kind, text);
}
mb_reply on_revoke(void *context, mb_mapping *mapping, const mb_revoke_notice *notice)
{
    (void)notice;
    happened_to("revoke", mapping);
    return context != NULL ? MB_LATER : MB_DONE;
}
void on_lost(void *context, mb_mapping *mapping)
{
    (void)context;
    happened_to("lost", mapping);
}
void on_disconnected(void *context, const mb_error *why)
{
    (void)context;
    (void)why;
    happened("disconnected", "{}");
}
void on_reconnected(void *context)
{
    (void)context;
    happened("reconnected", "{}");
}
void on_warning(void *context, const mb_error *why)
{
    (void)context;
    fprintf(stderr, "driver: %s: %s\n", why->name, why->message);
}
void on_watch(void *context, const mb_watch_item *item)
{
    struct text text = {0};
    (void)context;
    text_add(&text, "{");
    if (item->snapshot != NULL) {
        put_boolean(&text, "again", item->again);
        put_list(&text, item->snapshot);
    } else if (item->event != NULL) {
        text_string(&text, "kind", item->event->kind);
        text_string(&text, "allocation", item->event->allocation);
        if (item->event->has_bytes)
            text_size(&text, "bytes", item->event->bytes);
    }
    text_add(&text, "}");
    happened(item->snapshot != NULL ? "snapshot" : item->event != NULL ? item->event->kind : "missed", text.at);
    text_free(&text);
}
void on_prepare(void *context, mb_participation *own, const mb_update *update)
{
    struct text text = {0};
    (void)context;
    update_asked = update->id;
    text_add(&text, "{");
    text_string(&text, "reason", update->reason);
    put_boolean(&text, "hasTime", update->deadline_ms > 0);
    text_add(&text, "}");
    happened("prepare", text.at);
    text_free(&text);
    if (is_stuck)
        mb_participation_answer(own, update->id, MB_STAYS_PAUSED, "it is stuck", NULL);
    else if (!answers_later)
        mb_participation_answer(own, update->id, MB_READY, NULL, NULL);
}
void on_cancelled(void *context, mb_participation *own, int64_t update, const char *reason)
{
    struct text text = {0};
    (void)context;
    (void)own;
    (void)update;
    text_add(&text, "{");
    text_string(&text, "reason", reason);
    text_add(&text, "}");
    happened("cancelled", text.at);
    text_free(&text);
}
bool take_event(struct text *answer, const char *kind)
{
    for (size_t index = 0; index < event_count; index++) {
        if (strcmp(events[index].kind, kind) != 0)
            continue;
        put_json(answer, "result", events[index].details);
        free(events[index].details);
        memmove(events + index, events + index + 1, (--event_count - index) * sizeof *events);
        return true;
    }
    return false;
}

void forget_all(void)
{
    memset(mappings, 0, sizeof mappings);
    while (event_count > 0)
        free(events[--event_count].details);
}
