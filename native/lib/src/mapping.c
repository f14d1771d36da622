/* Mappings: a descriptor, the memory behind it, and their end. */
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

mb_mapping *mapping_of(mb_broker *broker, int64_t id)
{
    for (mb_mapping *mapping = broker->mappings; mapping != NULL; mapping = mapping->next)
        if (mapping->info->id == id && mapping->fd >= 0)
            return mapping;
    return NULL;
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

void close_left(struct fds *fds)
{
    for (size_t index = 0; index < fds->count; index++)
        if (fds->at[index] >= 0)
            close(fds->at[index]);
    fds->count = 0;
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
    close_left(&reply.fds);
    if (made == NULL)
        return error->code;
    *mapping = made;
    return MB_OK;
}

mb_code mb_map(mb_broker *broker, const char *name, const mb_map_options *options, mb_mapping **mapping, mb_error *error)
{
    static const mb_map_options defaults;
    mb_error scratch;
    error = error == NULL ? &scratch : error;
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

static mb_code check_held(const mb_mapping *mapping, mb_error *error)
{
    if (mapping->fd >= 0)
        return MB_OK;
    return fail(error, MB_MAPPING_REVOKED, "mapping %lld of %.255s is closed or was revoked", (long long)mapping->info->id,
                mapping->info->allocation);
}

static mb_code map_at(mb_mapping *mapping, void *place, int flags, mb_error *error)
{
    const mb_mapping_info *const info = mapping->info;
    const int protection = info->access == MB_READ ? PROT_READ : PROT_READ | PROT_WRITE;
    if (info->length == 0 || info->length > SIZE_MAX / 2)
        return fail(error, MB_MAP_FAILED, "a mapping of %llu bytes", (unsigned long long)info->length);
    void *const memory =
        mmap(place, (size_t)info->length, protection, MAP_SHARED | flags, mapping->fd, (off_t)mapping->mmap_offset);
    if (memory == MAP_FAILED)
        return fail_system(error, MB_MAP_FAILED, errno, "mmap");
    mapping->memory = memory;
    mapping->in_guest = place != NULL;
    return MB_OK;
}

mb_code mb_mapping_memory(mb_mapping *mapping, void **memory, mb_error *error)
{
    mb_error scratch;
    error = error == NULL ? &scratch : error;
    if (check_broker(mapping->broker, error) != MB_OK || check_held(mapping, error) != MB_OK)
        return error->code;
    if (mapping->memory == NULL && map_at(mapping, NULL, 0, error) != MB_OK)
        return error->code;
    *memory = mapping->memory;
    return MB_OK;
}

/* The guest's addresses that the mappings have, from the lowest to the end of the highest. */
static mb_code guest_span(mb_mapping *const *mappings, size_t count, uint64_t *low, uint64_t *high, mb_error *error)
{
    *low = UINT64_MAX;
    *high = 0;
    for (size_t index = 0; index < count; index++) {
        const mb_mapping_info *const info = mappings[index]->info;
        if (check_held(mappings[index], error) != MB_OK)
            return error->code;
        if (!info->has_guest_address || mappings[index]->memory != NULL)
            return fail(error, MB_INVALID_ARGUMENT, "mappings: mapping %lld has no guest address, or is mapped already",
                        (long long)info->id);
        const uint64_t end = info->guest_address + info->length;
        if (end <= info->guest_address)
            return fail(error, MB_INVALID_ARGUMENT, "mappings: mapping %lld is empty or too large", (long long)info->id);
        for (size_t other = 0; other < index; other++) {
            const mb_mapping_info *const before = mappings[other]->info;
            if (before->guest_address < end && info->guest_address < before->guest_address + before->length)
                return fail(error, MB_INVALID_ARGUMENT, "mappings: %lld and %lld overlap in the guest", (long long)before->id,
                            (long long)info->id);
        }
        *low = info->guest_address < *low ? info->guest_address : *low;
        *high = end > *high ? end : *high;
    }
    if (count == 0 || *high - *low > SIZE_MAX / 2)
        return fail(error, MB_INVALID_ARGUMENT, "mappings: there are none, or they span too much");
    return MB_OK;
}

/* Every page of the stretch is aligned as huge pages of 1 GiB demand of MAP_FIXED, relative to the guest's addresses. */
static uint8_t *reserve(uint64_t low, uint64_t length, mb_error *error)
{
    const uint64_t align = (uint64_t)1 << 30;
    uint8_t *const all =
        mmap(NULL, (size_t)(length + align), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) {
        fail_system(error, MB_MAP_FAILED, errno, "mmap of the guest's addresses");
        return NULL;
    }
    const uint64_t at = (uint64_t)(uintptr_t)all, skip = (low - at) & (align - 1);
    if (skip > 0)
        munmap(all, (size_t)skip);
    if (align - skip > 0)
        munmap(all + skip + length, (size_t)(align - skip));
    return all + skip;
}

mb_code mb_guest_map(mb_mapping *const *mappings, size_t count, mb_guest *guest, mb_error *error)
{
    mb_error scratch;
    uint64_t low, high;
    error = error == NULL ? &scratch : error;
    if (guest_span(mappings, count, &low, &high, error) != MB_OK)
        return error->code;
    uint8_t *const memory = reserve(low, high - low, error);
    if (memory == NULL)
        return error->code;
    for (size_t index = 0; index < count; index++) {
        if (map_at(mappings[index], memory + (mappings[index]->info->guest_address - low), MAP_FIXED, error) == MB_OK)
            continue;
        for (size_t mapped = 0; mapped < index; mapped++)
            mappings[mapped]->memory = NULL;
        munmap(memory, (size_t)(high - low));
        return error->code;
    }
    guest->memory = memory;
    guest->guest_address = low;
    guest->length = high - low;
    return MB_OK;
}

void mb_guest_unmap(mb_broker *broker, mb_guest *guest)
{
    if (guest->memory == NULL)
        return;
    for (mb_mapping *mapping = broker->mappings; mapping != NULL; mapping = mapping->next) {
        const uintptr_t at = (uintptr_t)mapping->memory, from = (uintptr_t)guest->memory;
        if (mapping->memory != NULL && at >= from && at < from + guest->length) {
            mapping->memory = NULL;
            mapping->in_guest = false;
        }
    }
    munmap(guest->memory, (size_t)guest->length);
    memset(guest, 0, sizeof *guest);
}

/* ---- Ends ---- */

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
        if (reply.fds.count > 0) {
            fds_close(&reply.fds);
            code = violation(error, method, "a reply with descriptors that were not asked for");
        } else if ((code = error_of(&reply, error)) == MB_OK && !more) {
            if (json_is(result, "revoked") || json_is(result, "released"))
                *outcome = MB_ENDED_WITH_PROOF;
            else if (json_is(result, "quarantined"))
                *outcome = MB_QUARANTINED;
            else
                code = violation(error, method, "its outcome is none of the contract's");
        }
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
        const int64_t give_up_at = deadline_in(broker->reconnect_ms);
        for (unsigned attempt = 0;; attempt++) {
            code = one_end(broker, &whole, method, deadline, dispatching, outcome, error);
            if (code != MB_CONNECTION_LOST || !repeatable || now_ms() >= give_up_at)
                break;
            pause_ms(backoff_ms(broker, attempt), give_up_at);
        }
    }
    text_free(&whole);
    return code;
}

mb_code mb_mapping_close(mb_mapping *mapping, mb_outcome *outcome, mb_error *error)
{
    mb_error scratch;
    mb_outcome found = MB_ALREADY_GONE;
    struct text parameters = {0};
    error = error == NULL ? &scratch : error;
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

static void add_end_options(struct text *parameters, const mb_end_options *options)
{
    if (options->has_grace)
        text_integer(parameters, "graceMs", options->grace_ms);
    text_string(parameters, "secret", options->secret);
}

static const mb_end_options end_defaults;

static int64_t end_deadline(const mb_end_options *options)
{
    return options->timeout_ms <= 0 ? INT64_MAX : deadline_in(options->timeout_ms);
}

mb_code mb_release(mb_broker *broker, const char *name, const mb_end_options *options, mb_outcome *outcome, mb_error *error)
{
    mb_error scratch;
    mb_outcome found;
    struct text parameters = {0};
    error = error == NULL ? &scratch : error;
    options = options == NULL ? &end_defaults : options;
    if (check_broker(broker, error) != MB_OK || check_reserved(options->reserved, error) != MB_OK)
        return error->code;
    if (name == NULL)
        return fail(error, MB_INVALID_ARGUMENT, "name: it is NULL");
    if (broker->depth > 0)
        return fail(error, MB_INVALID_ARGUMENT, "broker: a handler can't release");
    text_string(&parameters, "name", name);
    add_end_options(&parameters, options);
    broker->releasing = true;
    const mb_code code = end_call(broker, "Release", &parameters, end_deadline(options), false, true, &found, error);
    broker->releasing = false;
    if (broker->closing)
        broker_free(broker);
    if (code == MB_OK && outcome != NULL)
        *outcome = found;
    return code;
}

mb_code mb_revoke(mb_broker *broker, int64_t id, const mb_end_options *options, mb_outcome *outcome, mb_error *error)
{
    mb_error scratch;
    mb_outcome found;
    struct text parameters = {0};
    error = error == NULL ? &scratch : error;
    options = options == NULL ? &end_defaults : options;
    if (check_broker(broker, error) != MB_OK || check_reserved(options->reserved, error) != MB_OK)
        return error->code;
    mb_mapping *const own = mapping_of(broker, id);
    if (own != NULL)
        mapping_drop(own);
    text_integer(&parameters, "mapping", id);
    add_end_options(&parameters, options);
    const mb_code code = end_call(broker, "RevokeMapping", &parameters, end_deadline(options), own != NULL, false, &found, error);
    if (code == MB_OK && outcome != NULL)
        *outcome = found;
    return code;
}
