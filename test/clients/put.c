#include "put.h"

void put_json(struct text *text, const char *name, const char *value)
{
    if (text->at[text->used - 1] != '{')
        text_add(text, ",");
    text_add(text, "\"");
    text_add(text, name);
    text_add(text, "\":");
    text_add(text, value == NULL ? "null" : value);
}
void put_boolean(struct text *text, const char *name, bool value)
{
    put_json(text, name, value ? "true" : "false");
}
static const char *access_word(mb_access access)
{
    return access == MB_READ ? "read" : "readWrite";
}
static void put_pid(struct text *text, const char *name, int32_t pid)
{
    if (pid == 0)
        put_json(text, name, NULL);
    else
        text_integer(text, name, pid);
}
void put_allocation(struct text *text, const char *name, const mb_allocation *allocation)
{
    static const char *const verdicts[] = {"unverified", "intact", "changed", "poisoned"};
    if (name == NULL)
        text_add(text, "{");
    else
        put_json(text, name, "{");
    text_integer(text, "id", allocation->id);
    text_string(text, "name", allocation->name);
    text_string(text, "range", allocation->range);
    text_integer(text, "uid", allocation->uid);
    text_size(text, "bytes", allocation->bytes);
    text_size(text, "alignBytes", allocation->align_bytes);
    put_json(text, "extents", "[");
    for (size_t index = 0; index < allocation->extent_count; index++) {
        text_add(text, index > 0 ? ",{" : "{");
        text_size(text, "offset", allocation->extents[index].offset);
        text_size(text, "length", allocation->extents[index].length);
        text_add(text, "}");
    }
    text_add(text, "]");
    put_json(text, "metadata", allocation->metadata);
    put_boolean(text, "secret", allocation->secret);
    put_json(text, "shares", "[");
    for (size_t index = 0; index < allocation->share_count; index++) {
        text_add(text, index > 0 ? ",{" : "{");
        text_integer(text, "uid", allocation->shares[index].uid);
        text_string(text, "access", access_word(allocation->shares[index].access));
        text_add(text, "}");
    }
    text_add(text, "]");
    text_integer(text, "mappings", allocation->mappings);
    put_pid(text, "holderPid", allocation->holder_pid);
    put_pid(text, "successorPid", allocation->successor_pid);
    text_string(text, "verdict", verdicts[allocation->verdict]);
    text_add(text, "}");
}
void put_mapping(struct text *text, const mb_mapping_info *info)
{
    static const char *const states[] = {"held", "revoking", "dormant"};
    text_add(text, "{");
    text_integer(text, "id", info->id);
    text_string(text, "allocation", info->allocation);
    text_size(text, "offset", info->offset);
    text_size(text, "length", info->length);
    text_string(text, "access", access_word(info->access));
    if (info->has_guest_address)
        text_size(text, "guestAddress", info->guest_address);
    put_json(text, "metadata", info->metadata);
    text_integer(text, "uid", info->uid);
    put_pid(text, "pid", info->pid);
    text_string(text, "state", states[info->state]);
    text_add(text, "}");
}
void put_list(struct text *text, const mb_list *list)
{
    put_json(text, "allocations", "[");
    for (size_t index = 0; index < list->allocation_count; index++) {
        text_add(text, index > 0 ? "," : "");
        put_allocation(text, NULL, list->allocations[index]);
    }
    text_add(text, "]");
    put_json(text, "mappings", "[");
    for (size_t index = 0; index < list->mapping_count; index++) {
        text_add(text, index > 0 ? "," : "");
        put_mapping(text, list->mappings[index]);
    }
    text_add(text, "]");
}
