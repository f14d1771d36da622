/* The functions of the header that are one call. */
#include "error.h"
#include "info.h"
#include "link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mb_code mb_get_status(mb_broker *broker, mb_status *status, mb_error *error)
{
    struct reply reply;
    struct text none = {0};
    error = ERROR_OR_OWN(error);
    if (check_broker(broker, error) != MB_OK || plain_call(broker, "GetStatus", &none, repeat_harmless, &reply, error) != MB_OK)
        return error->code;
    mb_status found = {0};
    int64_t pid;
    const json from = reply.parameters, frozen = json_get(from, "frozen");
    struct {
        const char *name;
        int64_t *value;
    } const numbers[] = {
        {"startedAt", &found.started_at}, {"ranges", &found.ranges},     {"allocations", &found.allocations},
        {"unclaimed", &found.unclaimed},  {"mappings", &found.mappings}, {"clients", &found.clients},
        {"clientsMax", &found.clients_max}, {"pid", &pid},
    };
    bool good = json_is_string(json_get(from, "version")) && json_is_string(json_get(from, "bootId"));
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++)
        good = good && json_integer(json_get(from, numbers[index].name), numbers[index].value);
    if (!good || (frozen.at != NULL && !json_is_string(frozen)))
        return violation(error, "GetStatus", "it is not as the contract says");
    json_string(json_get(from, "version"), found.version, sizeof found.version);
    json_string(json_get(from, "bootId"), found.boot_id, sizeof found.boot_id);
    json_string(frozen, found.frozen_reason, sizeof found.frozen_reason);
    found.frozen = frozen.at != NULL;
    found.pid = (int32_t)pid;
    *status = found;
    return MB_OK;
}

/* Methods that a second time changes nothing; the TypeScript library's table of traits is protocol/methods.ts. */
static const char *const repeatable[] = {
    "GetStatus", "ListRanges", "ListAllocations", "GetAllocation", "ListClients", "ListPoisoned", "GetRecovery", "GetStatistics",
    "ReadAllocation", "OpenConsole", "MarkPoisoned", "CompleteHandOver", "Give", "AnswerUpdate", "ProceedUpdate",
    "KeepUpdate", "GetUpdate", "GetUpdateReport", "ForgetUpdateReport", "ReportResumed", "Reload", "SetLogLevel",
};

static enum repeat repeat_of(const char *method)
{
    for (size_t index = 0; index < sizeof repeatable / sizeof *repeatable; index++)
        if (strcmp(repeatable[index], method) == 0)
            return repeat_harmless;
    return repeat_never;
}

static bool is_method(const char *method)
{
    const size_t letters = strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    return letters > 0 && letters < 100 && method[letters] == 0;
}

/* The members of an object, as finish_call() wants them. */
static void add_members(struct text *parameters, const char *object)
{
    const json_each first = json_begin(json_root(object, strlen(object)));
    json_each each = first;
    while (json_next(&each)) {
        if (parameters->used > 0)
            text_add(parameters, ",");
        text_add_bytes(parameters, each.key.at, json_length(each.key));
        text_add(parameters, ":");
        if (each.value.at == NULL)
            text_add(parameters, "null");
        else
            text_add_bytes(parameters, each.value.at, json_length(each.value));
    }
}

mb_code mb_call(mb_broker *broker, const char *method, const char *object, char **result, mb_error *error)
{
    struct reply reply;
    struct text parameters = {0};
    error = ERROR_OR_OWN(error);
    if (check_broker(broker, error) != MB_OK)
        return error->code;
    if (!is_method(method))
        return fail(error, MB_INVALID_ARGUMENT, "method: it is no name of a method");
    if (object != NULL) {
        const char *const problem = json_check(object, strlen(object), json_nesting_max - 1);
        if (problem != NULL)
            return fail(error, MB_INVALID_ARGUMENT, "parameters: %s", problem);
        add_members(&parameters, object);
    }
    if (plain_call(broker, method, &parameters, repeat_of(method), &reply, error) != MB_OK)
        return error->code;
    struct text text = {0};
    if (reply.parameters.at == NULL)
        text_add(&text, "{}");
    else
        text_add_bytes(&text, reply.parameters.at, json_length(reply.parameters));
    if (text.no_memory) {
        text_free(&text);
        return fail(error, MB_NO_MEMORY, "no memory for a reply");
    }
    *result = text.at;
    return MB_OK;
}

/* A call whose reply has an allocation. */
static mb_code change(mb_broker *broker, const char *method, struct text *parameters, mb_list **allocation, mb_error *error)
{
    struct reply reply;
    struct list_builder builder = {0};
    if (plain_call(broker, method, parameters, repeat_of(method), &reply, error) != MB_OK)
        return error->code;
    if (!list_add_allocation(&builder, json_get(reply.parameters, "allocation"))) {
        list_discard(&builder);
        return violation(error, method, "its allocation is not as the contract says");
    }
    mb_list *const list = list_finish(&builder);
    if (list == NULL)
        return fail(error, MB_NO_MEMORY, "no memory for a reply");
    if (allocation == NULL)
        mb_list_free(list);
    else
        *allocation = list;
    return MB_OK;
}

static mb_code begin(mb_broker *broker, const char *name, struct text *parameters, mb_error *error)
{
    if (check_broker(broker, error) != MB_OK)
        return error->code;
    if (name == NULL)
        return fail(error, MB_INVALID_ARGUMENT, "name: it is NULL");
    text_string(parameters, "name", name);
    return MB_OK;
}

mb_code mb_allocate(mb_broker *broker, const char *name, uint64_t bytes, const mb_allocate_options *options, mb_list **allocation,
                    mb_error *error)
{
    static const mb_allocate_options defaults;
    struct text parameters = {0};
    error = ERROR_OR_OWN(error);
    options = options == NULL ? &defaults : options;
    if (check_reserved(options->reserved, error) != MB_OK || begin(broker, name, &parameters, error) != MB_OK)
        return error->code;
    text_size(&parameters, "bytes", bytes);
    if (options->align > 0)
        text_size(&parameters, "alignBytes", options->align);
    text_string(&parameters, "range", options->range);
    if (options->on_node)
        text_integer(&parameters, "node", options->node);
    text_true(&parameters, "contiguous", options->contiguous);
    text_object(&parameters, "metadata", options->metadata);
    text_string(&parameters, "secret", options->secret);
    if (options->for_owner)
        text_integer(&parameters, "uid", options->owner);
    return change(broker, "Allocate", &parameters, allocation, error);
}

mb_code mb_get(mb_broker *broker, const char *name, mb_list **list, mb_error *error)
{
    struct reply reply;
    struct text parameters = {0};
    struct list_builder builder = {0};
    error = ERROR_OR_OWN(error);
    if (begin(broker, name, &parameters, error) != MB_OK ||
        plain_call(broker, "GetAllocation", &parameters, repeat_harmless, &reply, error) != MB_OK)
        return error->code;
    const json mappings = json_get(reply.parameters, "mappings");
    if (!list_add_allocation(&builder, json_get(reply.parameters, "allocation")) || !json_is_array(mappings) ||
        !list_add(&builder, (json){0}, mappings)) {
        list_discard(&builder);
        return violation(error, "GetAllocation", "it is not as the contract says");
    }
    *list = list_finish(&builder);
    return *list == NULL ? fail(error, MB_NO_MEMORY, "no memory for a reply") : MB_OK;
}

mb_code mb_path(mb_broker *broker, const char *name, char **path, mb_error *error)
{
    mb_error scratch;
    struct reply reply;
    struct text parameters = {0};
    error = error == NULL ? &scratch : error;
    if (begin(broker, name, &parameters, error) != MB_OK ||
        call(broker, "GetAllocation", &parameters, repeat_harmless, &reply, error) != MB_OK ||
        no_descriptors(&reply, "GetAllocation", error) != MB_OK)
        return error->code;
    const json found = json_get(reply.parameters, "path");
    *path = NULL;
    if (found.at == NULL)
        return MB_OK;
    if (!json_is_string(found))
        return violation(error, "GetAllocation", "its path is not as the contract says");
    const size_t bytes = json_string(found, NULL, 0) + 1;
    *path = malloc(bytes);
    if (*path == NULL)
        return fail(error, MB_NO_MEMORY, "no memory for a reply");
    json_string(found, *path, bytes);
    return MB_OK;
}

mb_code mb_list_allocations(mb_broker *broker, const char *prefix, mb_list **list, mb_error *error)
{
    struct list_builder builder = {0};
    int64_t after = 0;
    error = ERROR_OR_OWN(error);
    mb_code code = check_broker(broker, error);
    for (bool more = true; code == MB_OK && more;) {
        struct text parameters = {0};
        struct reply reply;
        int64_t next;
        text_string(&parameters, "prefix", prefix);
        if (after > 0)
            text_integer(&parameters, "after", after);
        code = plain_call(broker, "ListAllocations", &parameters, repeat_harmless, &reply, error);
        if (code != MB_OK)
            break;
        const json rows = json_get(reply.parameters, "allocations"), following = json_get(reply.parameters, "next");
        more = following.at != NULL;
        /* A broker that does not move on would keep us for ever. */
        if (!json_is_array(rows) || !list_add(&builder, rows, (json){0}) ||
            (more && (!json_integer(following, &next) || next <= after)))
            code = violation(error, "ListAllocations", "it is not as the contract says");
        else if (more)
            after = next;
    }
    if (code != MB_OK) {
        list_discard(&builder);
        return code;
    }
    *list = list_finish(&builder);
    return *list == NULL ? fail(error, MB_NO_MEMORY, "no memory for a reply") : MB_OK;
}

static mb_code resize(mb_broker *broker, const char *method, const char *name, uint64_t bytes, const char *secret,
                      mb_list **allocation, mb_error *error)
{
    struct text parameters = {0};
    error = ERROR_OR_OWN(error);
    if (begin(broker, name, &parameters, error) != MB_OK)
        return error->code;
    text_size(&parameters, "bytes", bytes);
    text_string(&parameters, "secret", secret);
    return change(broker, method, &parameters, allocation, error);
}

mb_code mb_grow(mb_broker *broker, const char *name, uint64_t bytes, const char *secret, mb_list **allocation, mb_error *error)
{
    return resize(broker, "Grow", name, bytes, secret, allocation, error);
}

mb_code mb_shrink(mb_broker *broker, const char *name, uint64_t bytes, const char *secret, mb_list **allocation, mb_error *error)
{
    return resize(broker, "Shrink", name, bytes, secret, allocation, error);
}

mb_code mb_discard(mb_broker *broker, const char *name, const mb_piece *pieces, size_t count, const char *secret,
                   uint64_t *resident_bytes, mb_error *error)
{
    mb_error scratch;
    struct reply reply;
    struct text parameters = {0};
    int64_t resident;
    error = error == NULL ? &scratch : error;
    if (begin(broker, name, &parameters, error) != MB_OK)
        return error->code;
    text_add(&parameters, ",\"pieces\":[");
    for (size_t index = 0; index < count; index++) {
        text_add(&parameters, index == 0 ? "{" : ",{");
        text_size(&parameters, "offset", pieces[index].offset);
        text_size(&parameters, "length", pieces[index].length);
        text_add(&parameters, "}");
    }
    text_add(&parameters, "]");
    text_string(&parameters, "secret", secret);
    if (call(broker, "Discard", &parameters, repeat_never, &reply, error) != MB_OK || no_descriptors(&reply, "Discard", error) != MB_OK)
        return error->code;
    if (!json_integer(json_get(reply.parameters, "residentBytes"), &resident) || resident < 0)
        return violation(error, "Discard", "it is not as the contract says");
    if (resident_bytes != NULL)
        *resident_bytes = (uint64_t)resident;
    return MB_OK;
}
mb_code mb_set_metadata(mb_broker *broker, const char *name, const char *metadata, const char *secret, mb_list **allocation,
                        mb_error *error)
{
    struct text parameters = {0};
    error = ERROR_OR_OWN(error);
    if (begin(broker, name, &parameters, error) != MB_OK)
        return error->code;
    text_object(&parameters, "metadata", metadata);
    text_string(&parameters, "secret", secret);
    return change(broker, "SetMetadata", &parameters, allocation, error);
}

mb_code mb_share(mb_broker *broker, const char *name, uint32_t uid, mb_access access, const char *secret, mb_list **allocation,
                 mb_error *error)
{
    struct text parameters = {0};
    error = ERROR_OR_OWN(error);
    if (begin(broker, name, &parameters, error) != MB_OK)
        return error->code;
    text_integer(&parameters, "uid", uid);
    if (access != MB_NO_ACCESS)
        text_string(&parameters, "access", access == MB_READ ? "read" : "readWrite");
    text_string(&parameters, "secret", secret);
    return change(broker, "Share", &parameters, allocation, error);
}

mb_code mb_give(mb_broker *broker, const char *name, uint32_t uid, mb_list **allocation, mb_error *error)
{
    mb_error scratch;
    struct text parameters = {0};
    error = error == NULL ? &scratch : error;
    if (begin(broker, name, &parameters, error) != MB_OK)
        return error->code;
    text_integer(&parameters, "uid", uid);
    return change(broker, "Give", &parameters, allocation, error);
}

mb_code mb_complete_hand_over(mb_broker *broker, const char *name, mb_error *error)
{
    struct text parameters = {0};
    error = ERROR_OR_OWN(error);
    return begin(broker, name, &parameters, error) != MB_OK ? error->code
                                                             : change(broker, "CompleteHandOver", &parameters, NULL, error);
}
