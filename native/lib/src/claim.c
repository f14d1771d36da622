/* Claims: what a process gets back after it, the broker or the kernel was replaced. */
#include "error.h"
#include "grant.h"
#include "info.h"
#include "link.h"
#include "mapping.h"
#include "notices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct claimed {
    const mb_allocation *allocation;
    mb_mapping **mappings;
    size_t count, room;
    bool joined;
};

/* What the passes of one claim have brought. */
struct collection {
    struct arena *arena;
    struct claimed *claimed;
    size_t claimed_count, claimed_room;
    mb_not_claimed *left;
    size_t left_count, left_room;
};

struct owned_rebuilt {
    mb_rebuilt rebuilt; /* first: the user's pointer is to it */
    struct arena *arena;
};

static mb_code no_memory(mb_error *error)
{
    return fail(error, MB_NO_MEMORY, "no memory for a claim");
}

/* The entry of the allocation, as first claimed: a pass after a broken connection finds it again. */
static struct claimed *entry_of(struct collection *all, const mb_allocation *allocation, bool joined)
{
    for (size_t index = 0; index < all->claimed_count; index++)
        if (all->claimed[index].allocation->id == allocation->id)
            return &all->claimed[index];
    struct claimed *const rows = with_room(all->claimed, all->claimed_count, &all->claimed_room, sizeof *rows);
    if (rows == NULL)
        return NULL;
    all->claimed = rows;
    struct claimed *const one = &rows[all->claimed_count++];
    memset(one, 0, sizeof *one);
    one->allocation = allocation;
    one->joined = joined;
    return one;
}

static mb_code add_mapping(struct claimed *claimed, mb_mapping *mapping, mb_error *error)
{
    mb_mapping **const rows = with_room((void *)claimed->mappings, claimed->count, &claimed->room, sizeof *rows);
    if (rows == NULL)
        return no_memory(error);
    claimed->mappings = rows;
    rows[claimed->count++] = mapping;
    return MB_OK;
}

/* A repeated take-over grants again what this process got before. */
static bool is_second(const mb_mapping *mapping)
{
    for (const mb_mapping *other = mapping->broker->mappings; other != NULL; other = other->next)
        if (other != mapping && other->fd >= 0 && other->state != MB_LOST && same_mapping(other->info, mapping->info))
            return true;
    return false;
}

static mb_code take_up(mb_broker *broker, const struct reply *reply, bool joined, struct fds *fds, struct collection *all,
                       mb_error *error)
{
    const json grants = json_get(reply->parameters, "grants");
    const mb_allocation *const allocation = read_allocation(json_get(reply->parameters, "allocation"), &all->arena);
    const char *const problem =
        allocation == NULL ? "it claims, but names no allocation" : check_grants((json){0}, grants, fds);
    if (problem != NULL) {
        fds_close(fds);
        return violation(error, "Claim", problem);
    }
    struct claimed *const one = entry_of(all, allocation, joined);
    mb_code code = one == NULL ? no_memory(error) : MB_OK;
    for (json_each each = json_begin(grants); code == MB_OK && json_next(&each);) {
        mb_mapping *const mapping = adopt_grant(broker, "Claim", each.value, fds, error);
        const bool second = mapping != NULL && is_second(mapping);
        code = mapping == NULL ? error->code : second ? MB_OK : add_mapping(one, mapping, error);
        if (mapping != NULL && (second || code != MB_OK))
            mapping_free(mapping);
    }
    fds_close(fds);
    return code;
}

static mb_code leave(const struct reply *reply, mb_obstacle obstacle, struct collection *all, mb_error *error)
{
    const json name = json_get(json_get(reply->parameters, "allocation"), "name"), detail = json_get(reply->parameters, "detail");
    mb_not_claimed *const rows = with_room(all->left, all->left_count, &all->left_room, sizeof *rows);
    if (rows == NULL)
        return no_memory(error);
    all->left = rows;
    mb_not_claimed *const one = &rows[all->left_count];
    one->obstacle = obstacle;
    one->name = read_text(name, &all->arena);
    one->detail = read_text(detail, &all->arena);
    if (one->name == NULL && (one->name = arena_take(&all->arena, 1, 1)) == NULL)
        return no_memory(error);
    all->left_count++;
    return MB_OK;
}

static mb_code receive(mb_broker *broker, struct reply *reply, struct collection *all, mb_error *error)
{
    static const char *const obstacles[] = {"held", "refused", "unavailable"};
    mb_code code = error_of(reply->error, reply->parameters, error);
    if (code != MB_OK)
        return code;
    const json outcome = json_get(reply->parameters, "outcome");
    const bool joined = json_is(outcome, "joined");
    if (!json_is_array(json_get(reply->parameters, "grants"))) {
        fds_close(&reply->fds);
        return violation(error, "Claim", "it has no grants");
    }
    if (joined || json_is(outcome, "claimed"))
        return take_up(broker, reply, joined, &reply->fds, all, error);
    const char *const problem = check_grants((json){0}, json_get(reply->parameters, "grants"), &reply->fds);
    fds_close(&reply->fds);
    if (problem != NULL)
        return violation(error, "Claim", problem);
    for (int index = 0; index < 3; index++)
        if (json_is(outcome, obstacles[index]))
            return leave(reply, (mb_obstacle)index, all, error);
    return json_is(outcome, "nothing") ? MB_OK : violation(error, "Claim", "its outcome is none of the contract's");
}

/* One Claim call. MB_CONNECTION_LOST: what this process claimed already it may claim again. */
static mb_code pass(mb_broker *broker, const struct text *whole, struct collection *all, mb_error *error)
{
    struct connection connection;
    struct reply reply;
    bool sent;
    const bool cut_off = broker->claim_cut_off;
    mb_code code = dial(broker, deadline_in(broker->reconnect_ms), &connection, error);
    if (code != MB_OK)
        return code;
    code = connection_send(&connection, whole->at, whole->used + 1, deadline_in(broker->call_ms), &sent, error);
    broker->claim_cut_off = true;
    bool refused = false;
    for (bool more = true; code == MB_OK && more;) {
        code = connection_next(&connection, "Claim", deadline_in(broker->call_ms), &reply, error);
        if (code != MB_OK)
            break;
        more = reply.continues;
        refused = reply.error.at != NULL;
        code = receive(broker, &reply, all, error);
    }
    connection_close(&connection);
    if (code == MB_OK || refused)
        broker->claim_cut_off = cut_off;
    return code;
}

static mb_code end_lost(mb_broker *broker, int64_t id, mb_error *error)
{
    struct text parameters = {0};
    mb_outcome outcome;
    text_integer(&parameters, "mapping", id);
    const mb_code code = end_call(broker, "RevokeMapping", &parameters, deadline_in(broker->call_ms), true, false, &outcome, error);
    return code == MB_NOT_FOUND ? MB_OK : code;
}

static mb_code grant_again(mb_broker *broker, const mb_mapping_info *info, const char *secret, struct claimed *one, mb_error *error)
{
    mb_map_options options;
    mb_mapping *mapping;
    memset(&options, 0, sizeof options);
    options.offset = info->offset;
    options.length = info->length;
    options.access = info->access;
    options.has_guest_address = info->has_guest_address;
    options.guest_address = info->guest_address;
    options.metadata = info->metadata;
    options.secret = secret;
    mb_code code = create_mapping(broker, info->allocation, &options, &mapping, error);
    /* The unreachable one may have the place that the new one needs. */
    const bool full = code == MB_LIMIT_EXCEEDED || code == MB_QUOTA_EXCEEDED;
    if (full && (code = end_lost(broker, info->id, error)) == MB_OK)
        code = create_mapping(broker, info->allocation, &options, &mapping, error);
    if (code != MB_OK)
        return code;
    code = add_mapping(one, mapping, error);
    if (code != MB_OK) {
        mapping_free(mapping);
        return code;
    }
    return full ? MB_OK : end_lost(broker, info->id, error);
}

/* Whether the process has it by this object, or had it before this object had any. */
static bool is_here(mb_broker *broker, int64_t id)
{
    bool here = mapping_of(broker, id) != NULL;
    for (size_t index = 0; !here && index < broker->others_count; index++)
        here = broker->others[index] == id;
    return here;
}

/*
 * A claim that was cut off may have granted mappings whose descriptors never arrived. For the broker this process holds them, so claiming
 * again does not bring them: each is made once more, and the unreachable one ended.
 */
static mb_code regrant(mb_broker *broker, struct claimed *one, const char *secret, mb_error *error)
{
    mb_list *list;
    mb_code code = mb_get(broker, one->allocation->name, &list, error);
    if (code != MB_OK)
        return code;
    /* Where the allocation is only shared with this process, its holder is another one; but such a claim brings a mapping. */
    const int32_t own = one->count > 0  ? one->mappings[0]->info->pid
                        : one->joined ? one->allocation->successor_pid
                                        : one->allocation->holder_pid;
    for (size_t index = 0; code == MB_OK && index < list->mapping_count; index++) {
        const mb_mapping_info *const info = list->mappings[index];
        if (info->state == MB_HELD && info->pid == own && !is_here(broker, info->id))
            code = grant_again(broker, info, secret, one, error);
    }
    mb_list_free(list);
    return code;
}

/*
 * A caller that gets an error gets no objects: the earlier ones must not stay open unseen. The broker keeps their layouts, and the next
 * claim makes them anew.
 */
static void discard(struct collection *all, bool with_mappings)
{
    for (size_t index = 0; index < all->claimed_count; index++) {
        struct claimed *const one = &all->claimed[index];
        for (size_t mapping = 0; with_mappings && mapping < one->count; mapping++) {
            one->mappings[mapping]->broker->claim_cut_off = true;
            mapping_free(one->mappings[mapping]);
        }
        free((void *)one->mappings);
    }
    arena_free(all->arena);
    free(all->claimed);
    free(all->left);
    memset(all, 0, sizeof *all);
}

/* The collection as the caller gets it; all of it is in the arena then. NULL: no memory. */
static mb_rebuilt *finish(struct collection *all)
{
    struct owned_rebuilt *const owned = calloc(1, sizeof *owned);
    mb_claimed *const claimed = arena_take(&all->arena, all->claimed_count, sizeof *claimed);
    mb_not_claimed *const left = arena_take(&all->arena, all->left_count, sizeof *left);
    bool good = owned != NULL && claimed != NULL && left != NULL;
    for (size_t index = 0; good && index < all->claimed_count; index++) {
        const struct claimed *const one = &all->claimed[index];
        mb_mapping **const mappings = arena_take(&all->arena, one->count, sizeof *mappings);
        good = mappings != NULL;
        if (good && one->count > 0)
            memcpy((void *)mappings, (const void *)one->mappings, one->count * sizeof *mappings);
        claimed[index].allocation = one->allocation;
        claimed[index].mappings = mappings;
        claimed[index].mapping_count = one->count;
        claimed[index].joined = one->joined;
    }
    if (!good) {
        free(owned);
        discard(all, true);
        return NULL;
    }
    if (all->left_count > 0)
        memcpy(left, all->left, all->left_count * sizeof *left);
    owned->rebuilt.claimed = claimed;
    owned->rebuilt.claimed_count = all->claimed_count;
    owned->rebuilt.not_claimed = left;
    owned->rebuilt.not_claimed_count = all->left_count;
    owned->arena = all->arena;
    all->arena = NULL;
    discard(all, false);
    return &owned->rebuilt;
}

void mb_rebuilt_free(mb_rebuilt *rebuilt)
{
    if (rebuilt == NULL)
        return;
    struct owned_rebuilt *const owned = (struct owned_rebuilt *)(void *)rebuilt;
    arena_free(owned->arena);
    free(owned);
}

static mb_code collect(mb_broker *broker, const char *member, const char *value, const mb_claim_options *options,
                       struct collection *all, mb_error *error)
{
    struct text parameters = {0}, whole = {0};
    mb_code code = prepare_notices(broker, error);
    text_string(&parameters, member, value);
    text_string(&parameters, "secret", options->secret);
    text_true(&parameters, "takeOver", options->take_over);
    if (code == MB_OK)
        code = finish_call(&whole, "Claim", &parameters, true, error);
    text_free(&parameters);
    if (code == MB_OK) {
        struct patience patience = {0};
        do {
            all->left_count = 0;
            code = pass(broker, &whole, all, error);
        } while (code == MB_CONNECTION_LOST && may_try_again(broker, &patience));
    }
    text_free(&whole);
    for (size_t index = 0; code == MB_OK && broker->claim_cut_off && index < all->claimed_count; index++)
        code = regrant(broker, &all->claimed[index], options->secret, error);
    if (code != MB_OK)
        discard(all, true);
    return code;
}

static mb_code refusal(const struct collection *all, const char *name, mb_error *error)
{
    static const mb_code codes[] = {MB_ALREADY_CLAIMED, MB_PERMISSION_DENIED, MB_SOURCE_FAILED};
    if (all->left_count == 0)
        return fail(error, MB_NOT_FOUND, "there is no allocation %.255s that you may claim", name);
    const mb_not_claimed *const why = &all->left[0];
    return fail(error, codes[why->obstacle], "%.255s can't be claimed: %.500s", name, why->detail == NULL ? "no reason" : why->detail);
}

static mb_code rebuild(mb_broker *broker, const char *name, const char *prefix, const mb_claim_options *options, mb_rebuilt **rebuilt,
                       mb_error *error)
{
    static const mb_claim_options defaults;
    struct collection all = {0};
    error = ERROR_OR_OWN(error);
    options = options == NULL ? &defaults : options;
    if (check_broker(broker, error) != MB_OK || check_reserved(options->reserved, error) != MB_OK)
        return error->code;
    if (collect(broker, name == NULL ? "prefix" : "name", name == NULL ? prefix : name, options, &all, error) != MB_OK)
        return error->code;
    if (name != NULL && all.claimed_count == 0) {
        refusal(&all, name, error);
        discard(&all, true);
        return error->code;
    }
    mb_rebuilt *const found = finish(&all);
    if (found == NULL)
        return no_memory(error);
    *rebuilt = found;
    return MB_OK;
}

mb_code mb_claim(mb_broker *broker, const char *name, const mb_claim_options *options, mb_rebuilt **rebuilt, mb_error *error)
{
    error = ERROR_OR_OWN(error);
    if (name == NULL)
        return fail(error, MB_INVALID_ARGUMENT, "name: it is NULL");
    return rebuild(broker, name, NULL, options, rebuilt, error);
}

mb_code mb_rebuild(mb_broker *broker, const char *prefix, const mb_claim_options *options, mb_rebuilt **rebuilt_, mb_error *error)
{
    return rebuild(broker, NULL, prefix == NULL ? "" : prefix, options, rebuilt_, error);
}
