#include "mapping.h"
#include "error.h"
#include "info.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

mb_mapping *mapping_of(mb_broker *broker, int64_t id)
{
    for (mb_mapping *mapping = broker->mappings; mapping != NULL; mapping = mapping->next)
        if (mapping->info->id == id && mapping->fd >= 0)
            return mapping;
    return NULL;
}

/* Ids start anew in a range whose table did not survive, so the id alone proves nothing. */
bool same_mapping(const mb_mapping_info *a, const mb_mapping_info *b)
{
    return a->id == b->id && a->offset == b->offset && a->length == b->length && strcmp(a->allocation, b->allocation) == 0;
}

/* A revocation that began while the connection was down has no deadline: the snapshot only shows that it runs. */
enum { unknown_deadline_ms = 1000, early_max = 65536 };

static int64_t time_of_day(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void ask(mb_mapping *mapping, const struct request *request, json detail)
{
    if (mapping->state != MB_HELD)
        return;
    mapping->state = MB_REVOKING;
    mapping->announced = false;
    mapping->deadline = request->deadline;
    mapping->deadline_ms = request->deadline_ms;
    const size_t length = json_string(detail, NULL, 0);
    if (length > 0 && (mapping->detail = malloc(length + 1)) != NULL)
        json_string(detail, mapping->detail, length + 1);
}

static void remember(mb_broker *broker, const struct request *request)
{
    if (broker->early_count >= early_max)
        return;
    struct request *const rows = with_room(broker->early, broker->early_count, &broker->early_room, sizeof *rows);
    if (rows == NULL)
        return;
    broker->early = rows;
    rows[broker->early_count++] = *request;
}

void request_revoke(mb_broker *broker, int64_t id, int64_t deadline, json detail)
{
    const int64_t now = time_of_day();
    const int64_t at = deadline == 0 ? now + unknown_deadline_ms : deadline;
    const struct request request = {id, at, now_ms() + (at > now ? at - now : 0)};
    mb_mapping *const mapping = mapping_of(broker, id);
    if (mapping != NULL)
        ask(mapping, &request, detail);
    else
        remember(broker, &request);
}

void forget_request(mb_broker *broker, int64_t id)
{
    for (size_t index = 0; index < broker->early_count;)
        if (broker->early[index].mapping == id)
            broker->early[index] = broker->early[--broker->early_count];
        else
            index++;
}

/* The broker may have asked for it already. */
static void note_early(mb_broker *broker, mb_mapping *mapping)
{
    for (size_t index = 0; index < broker->early_count; index++)
        if (broker->early[index].mapping == mapping->info->id)
            ask(mapping, &broker->early[index], (json){0});
    forget_request(broker, mapping->info->id);
}

/* Each descriptor belongs to exactly one grant, and each grant has one. */
static bool check_grant(json grant, const struct fds *fds, bool seen[fds_per_message_max], size_t *count)
{
    int64_t index;
    if (!json_integer(json_get(grant, "fileDescriptor"), &index) || index < 0 || (size_t)index >= fds->count || seen[index])
        return false;
    seen[index] = true;
    (*count)++;
    return true;
}

const char *check_grants(json grant, json grants, const struct fds *fds)
{
    bool seen[fds_per_message_max] = {false};
    size_t count = 0;
    bool good = grant.at == NULL || check_grant(grant, fds, seen, &count);
    for (json_each each = json_begin(grants); good && json_next(&each);)
        good = check_grant(each.value, fds, seen, &count);
    return good && count == fds->count ? NULL : "not each descriptor has its grant, and each grant its own";
}

mb_mapping *adopt_grant(mb_broker *broker, const char *method, json grant, struct fds *fds, mb_error *error)
{
    int64_t index = 0, offset = 0;
    struct arena *arena = NULL;
    const mb_mapping_info *const info = read_mapping(json_get(grant, "mapping"), &arena);
    mb_mapping *const mapping = calloc(1, sizeof *mapping);
    if (info == NULL || mapping == NULL || !json_integer(json_get(grant, "fileDescriptor"), &index) ||
        !json_integer(json_get(grant, "mmapOffset"), &offset) || offset < 0) {
        const mb_code code = mapping == NULL ? MB_NO_MEMORY : MB_PROTOCOL_VIOLATION;
        arena_free(arena);
        free(mapping);
        if (code == MB_NO_MEMORY)
            fail(error, code, "no memory for a mapping");
        else
            violation(error, method, "a grant is not as the contract says");
        return NULL;
    }
    mapping->broker = broker;
    mapping->info = info;
    mapping->arena = arena;
    mapping->mmap_offset = (uint64_t)offset;
    mapping->fd = fds->at[index];
    fds->at[index] = -1;
    mb_mapping **place = &broker->mappings;
    while (*place != NULL)
        place = &(*place)->next;
    *place = mapping;
    note_early(broker, mapping);
    return mapping;
}

static void unmap(mb_mapping *mapping)
{
    if (mapping->memory == NULL)
        return;
    const size_t length = (size_t)mapping->info->length;
    /* In a guest's stretch nothing else may come to lie there meanwhile. */
    if (!mapping->in_guest || mmap(mapping->memory, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) ==
                                  MAP_FAILED)
        munmap(mapping->memory, length);
    mapping->memory = NULL;
}

void mapping_drop(mb_mapping *mapping)
{
    unmap(mapping);
    if (mapping->fd >= 0)
        close(mapping->fd);
    mapping->fd = -1;
    mapping->state = MB_ENDED;
}

void mapping_free(mb_mapping *mapping)
{
    mb_mapping **place = &mapping->broker->mappings;
    while (*place != mapping)
        place = &(*place)->next;
    *place = mapping->next;
    mapping_drop(mapping);
    arena_free(mapping->arena);
    free(mapping->detail);
    free(mapping);
}

const mb_mapping_info *mb_mapping_get_info(const mb_mapping *mapping)
{
    return mapping->info;
}

mb_mapping_state mb_mapping_get_state(const mb_mapping *mapping)
{
    return mapping->state;
}

int mb_mapping_fd(const mb_mapping *mapping)
{
    return mapping->fd;
}

uint64_t mb_mapping_mmap_offset(const mb_mapping *mapping)
{
    return mapping->mmap_offset;
}

void mb_mapping_on_revoke(mb_mapping *mapping, mb_revoke_handler handler, void *context)
{
    mapping->handler = handler;
    mapping->context = context;
}

static bool is_waiting(const mb_mapping *mapping)
{
    return !mapping->announced && mapping->fd >= 0 && (mapping->state == MB_REVOKING || mapping->state == MB_LOST);
}

mb_mapping *next_waiting(const mb_broker *broker)
{
    mb_mapping *mapping = broker->mappings;
    while (mapping != NULL && !is_waiting(mapping))
        mapping = mapping->next;
    return mapping;
}
