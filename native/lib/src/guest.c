/* The memory behind mappings: each by itself, or in a guest's stretch of addresses. */
#include "error.h"
#include "link.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

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
    error = ERROR_OR_OWN(error);
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
    uint64_t low, high;
    error = ERROR_OR_OWN(error);
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
