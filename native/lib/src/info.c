/* What the broker says, as structures. Every member that the contract demands must be there and of its type. */
#include "info.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

char *read_text(json value, struct arena **arena)
{
    if (!json_is_string(value))
        return NULL;
    char none;
    const size_t length = json_string(value, &none, 1);
    char *const text = arena_take(arena, length + 1, 1);
    if (text != NULL)
        json_string(value, text, length + 1);
    return text;
}

const char *raw_text(json value, struct arena **arena)
{
    if (!json_is_object(value))
        return NULL;
    const size_t length = json_length(value);
    char *const text = arena_take(arena, length + 1, 1);
    if (text != NULL)
        memcpy(text, value.at, length);
    return text;
}

static bool read_size(json value, uint64_t *result)
{
    int64_t number;
    if (!json_integer(value, &number) || number < 0)
        return false;
    *result = (uint64_t)number;
    return true;
}

static bool read_uid(json value, uint32_t *uid)
{
    int64_t number;
    if (!json_integer(value, &number) || number < 0 || number > UINT32_MAX)
        return false;
    *uid = (uint32_t)number;
    return true;
}

/* Absent: 0. */
static bool read_pid(json value, int32_t *pid)
{
    int64_t number = 0;
    if (value.at != NULL && (!json_integer(value, &number) || number < 0 || number > INT32_MAX))
        return false;
    *pid = (int32_t)number;
    return true;
}

/* The number of the word in the list, which ends with NULL; -1: another, or no string. */
static int word_of(json value, const char *const *words)
{
    for (int index = 0; words[index] != NULL; index++)
        if (json_is(value, words[index]))
            return index;
    return -1;
}

static const char *const accesses[] = {"readWrite", "read", NULL};
static const char *const verdicts[] = {"unverified", "intact", "changed", "poisoned", NULL};
static const char *const states[] = {"held", "revoking", "dormant", NULL};

static size_t count_of(json array)
{
    size_t count = 0;
    for (json_each each = json_begin(array); json_next(&each);)
        count++;
    return count;
}

static bool read_extents(json array, mb_allocation *allocation, struct arena **arena)
{
    const size_t count = count_of(array);
    mb_extent *const extents = arena_take(arena, count, sizeof *extents);
    if (!json_is_array(array) || extents == NULL)
        return false;
    size_t index = 0;
    for (json_each each = json_begin(array); json_next(&each); index++)
        if (!read_size(json_get(each.value, "offset"), &extents[index].offset) ||
            !read_size(json_get(each.value, "length"), &extents[index].length))
            return false;
    allocation->extents = extents;
    allocation->extent_count = count;
    return true;
}

static bool read_shares(json array, mb_allocation *allocation, struct arena **arena)
{
    const size_t count = count_of(array);
    mb_share_right *const shares = arena_take(arena, count, sizeof *shares);
    if (!json_is_array(array) || shares == NULL)
        return false;
    size_t index = 0;
    for (json_each each = json_begin(array); json_next(&each); index++) {
        const int access = word_of(json_get(each.value, "access"), accesses);
        if (access < 0 || !read_uid(json_get(each.value, "uid"), &shares[index].uid))
            return false;
        shares[index].access = (mb_access)access;
    }
    allocation->shares = shares;
    allocation->share_count = count;
    return true;
}

static bool read_metadata(json value, const char **metadata, struct arena **arena)
{
    *metadata = raw_text(value, arena);
    return value.at == NULL || *metadata != NULL;
}

const mb_allocation *read_allocation(json value, struct arena **arena)
{
    mb_allocation *const allocation = arena_take(arena, 1, sizeof *allocation);
    if (allocation == NULL)
        return NULL;
    const int verdict = word_of(json_get(value, "verdict"), verdicts);
    allocation->name = read_text(json_get(value, "name"), arena);
    allocation->range = read_text(json_get(value, "range"), arena);
    const bool good =
        verdict >= 0 && allocation->name != NULL && allocation->range != NULL &&
        json_integer(json_get(value, "id"), &allocation->id) && read_size(json_get(value, "bytes"), &allocation->bytes) &&
        read_size(json_get(value, "alignBytes"), &allocation->align_bytes) &&
        read_uid(json_get(value, "uid"), &allocation->uid) &&
        read_pid(json_get(value, "holderPid"), &allocation->holder_pid) &&
        read_pid(json_get(value, "successorPid"), &allocation->successor_pid) &&
        json_boolean(json_get(value, "secret"), &allocation->secret) &&
        json_integer(json_get(value, "mappings"), &allocation->mappings) &&
        read_metadata(json_get(value, "metadata"), &allocation->metadata, arena) &&
        read_extents(json_get(value, "extents"), allocation, arena) &&
        read_shares(json_get(value, "shares"), allocation, arena);
    allocation->verdict = (mb_verdict)(verdict < 0 ? 0 : verdict);
    return good ? allocation : NULL;
}

const mb_mapping_info *read_mapping(json value, struct arena **arena)
{
    mb_mapping_info *const info = arena_take(arena, 1, sizeof *info);
    if (info == NULL)
        return NULL;
    const int access = word_of(json_get(value, "access"), accesses), state = word_of(json_get(value, "state"), states);
    const json guest_address = json_get(value, "guestAddress");
    info->allocation = read_text(json_get(value, "allocation"), arena);
    info->has_guest_address = guest_address.at != NULL;
    const bool good = access >= 0 && state >= 0 && info->allocation != NULL && json_integer(json_get(value, "id"), &info->id) &&
                      read_size(json_get(value, "offset"), &info->offset) &&
                      read_size(json_get(value, "length"), &info->length) &&
                      (!info->has_guest_address || read_size(guest_address, &info->guest_address)) &&
                      read_metadata(json_get(value, "metadata"), &info->metadata, arena) &&
                      read_uid(json_get(value, "uid"), &info->uid) && read_pid(json_get(value, "pid"), &info->pid);
    info->access = (mb_access)(access < 0 ? 0 : access);
    info->state = (mb_mapping_state)(state < 0 ? 0 : state);
    return good ? info : NULL;
}

bool list_add_allocation(struct list_builder *builder, json value)
{
    const mb_allocation *const allocation = read_allocation(value, &builder->arena);
    if (allocation == NULL)
        return false;
    const mb_allocation **const rows = with_room((void *)builder->allocations, builder->allocation_count,
                                                 &builder->allocation_room, sizeof *rows);
    builder->no_memory |= rows == NULL;
    if (rows != NULL) {
        builder->allocations = rows;
        rows[builder->allocation_count++] = allocation;
    }
    return true;
}

bool list_add(struct list_builder *builder, json allocations, json mappings)
{
    if ((allocations.at != NULL && !json_is_array(allocations)) || (mappings.at != NULL && !json_is_array(mappings)))
        return false;
    for (json_each each = json_begin(allocations); json_next(&each);)
        if (!list_add_allocation(builder, each.value))
            return false;
    for (json_each each = json_begin(mappings); json_next(&each);) {
        const mb_mapping_info *const info = read_mapping(each.value, &builder->arena);
        if (info == NULL)
            return false;
        const mb_mapping_info **const rows =
            with_room((void *)builder->mappings, builder->mapping_count, &builder->mapping_room, sizeof *rows);
        builder->no_memory |= rows == NULL;
        if (rows != NULL) {
            builder->mappings = rows;
            rows[builder->mapping_count++] = info;
        }
    }
    return true;
}

void list_discard(struct list_builder *builder)
{
    arena_free(builder->arena);
    free((void *)builder->allocations);
    free((void *)builder->mappings);
    memset(builder, 0, sizeof *builder);
}

struct owned_list {
    mb_list list; /* first: the user's pointer is to it */
    struct list_builder builder;
};

mb_list *list_finish(struct list_builder *builder)
{
    struct owned_list *const owned = builder->no_memory ? NULL : calloc(1, sizeof *owned);
    if (owned == NULL) {
        list_discard(builder);
        return NULL;
    }
    owned->builder = *builder;
    memset(builder, 0, sizeof *builder);
    owned->list.allocations = owned->builder.allocations;
    owned->list.allocation_count = owned->builder.allocation_count;
    owned->list.mappings = owned->builder.mappings;
    owned->list.mapping_count = owned->builder.mapping_count;
    return &owned->list;
}

void mb_list_free(mb_list *list)
{
    if (list == NULL)
        return;
    struct owned_list *const owned = (struct owned_list *)(void *)list;
    list_discard(&owned->builder);
    free(owned);
}
