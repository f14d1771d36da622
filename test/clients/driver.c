/*
 * Does with libmembroker what the lines on its standard input say, and answers each with a line: see driver.ts, of which this is the
 * counterpart in C. Built with the library's sources, so that the sanitizers see them too.
 */
#include "../../native/lib/src/json.h"
#include "events.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static mb_broker *broker;
/* The connection before it, with the mappings made by it. */
static mb_broker *earlier;
static mb_error error;
static mb_watch *watch;
static mb_participation *participation;

/* ---- The request ---- */

static json arguments;

/* The text of an argument, until the request is done; NULL: it has none. */
static char *held[32];
static size_t held_count;
static const char *keep(char *text)
{
    held[held_count++] = text;
    return text;
}
static const char *string_of(const char *name)
{
    const json value = json_get(arguments, name);
    if (!json_is_string(value))
        return NULL;
    const size_t room = json_string(value, NULL, 0) + 1;
    char *const text = malloc(room);
    json_string(value, text, room);
    return keep(text);
}
/* A value's JSON. */
static const char *object_of(const char *name)
{
    const json value = json_get(arguments, name);
    return value.at == NULL ? NULL : keep(strndup(value.at, json_length(value)));
}
static bool has(const char *name)
{
    return json_get(arguments, name).at != NULL;
}
/* Also numbers that are no integers of the contract: what is sent is the broker's to refuse. */
static uint64_t number_of(const char *name)
{
    const json value = json_get(arguments, name);
    return value.at == NULL ? 0 : strtoull(value.at, NULL, 10);
}
static bool boolean_of(const char *name)
{
    bool value = false;
    return json_boolean(json_get(arguments, name), &value) && value;
}

/* ---- The answer ---- */

static struct text answer;

/* The rest of an answer that failed. */
static bool failed(mb_code code)
{
    if (code == MB_OK)
        return false;
    put_json(&answer, "error", "{");
    text_string(&answer, "code", error.name);
    put_json(&answer, "parameters", error.parameters);
    text_string(&answer, "message", error.message);
    text_add(&answer, "}");
    return true;
}
/* An allocation, where its call went well. */
static void answer_change(mb_code code, mb_list *list)
{
    if (failed(code))
        return;
    put_allocation(&answer, "result", list->allocations[0]);
    mb_list_free(list);
}
static void answer_list(mb_code code, mb_list *list)
{
    if (failed(code))
        return;
    put_json(&answer, "result", "{");
    put_list(&answer, list);
    text_add(&answer, "}");
    mb_list_free(list);
}
static void answer_word(mb_code code, const char *word)
{
    if (!failed(code))
        text_string(&answer, "result", word);
}

/* ---- Operations ---- */

static void op_connect(void)
{
    mb_connect_options options = {0};
    options.socket = string_of("socket");
    options.reconnect_ms = (int)number_of("reconnectMs");
    mb_handlers handlers = {0};
    handlers.mapping_lost = on_lost;
    handlers.disconnected = on_disconnected;
    handlers.reconnected = on_reconnected;
    handlers.warning = on_warning;
    mb_broker *made;
    const mb_code code = mb_connect(&options, &made, &error);
    if (code == MB_OK) {
        earlier = broker;
        broker = made;
        mb_set_handlers(broker, &handlers);
    }
    answer_word(code, "connected");
}
static void op_close(void)
{
    mb_close(broker);
    broker = NULL;
    watch = NULL;
    participation = NULL;
    forget_all();
    answer_word(MB_OK, "closed");
}
static void op_status(void)
{
    mb_status status;
    if (failed(mb_get_status(broker, &status, &error)))
        return;
    put_json(&answer, "result", "{");
    if (status.frozen)
        text_string(&answer, "frozen", status.frozen_reason);
    else
        put_json(&answer, "frozen", NULL);
    text_integer(&answer, "ranges", status.ranges);
    text_string(&answer, "version", status.version);
    text_add(&answer, "}");
}
static void op_allocate(void)
{
    mb_allocate_options options = {0};
    mb_list *list = NULL;
    options.align = number_of("align");
    options.range = string_of("range");
    options.on_node = has("node");
    options.node = (uint32_t)number_of("node");
    options.contiguous = boolean_of("contiguous");
    options.metadata = object_of("metadata");
    options.secret = string_of("secret");
    options.for_owner = has("owner");
    options.owner = (uint32_t)number_of("owner");
    const mb_code code = mb_allocate(broker, string_of("name"), number_of("size"), &options, &list, &error);
    answer_change(code, list);
}
static void op_get(void)
{
    mb_list *list = NULL;
    const mb_code code = mb_get(broker, string_of("name"), &list, &error);
    answer_list(code, list);
}
static void op_list(void)
{
    mb_list *list = NULL;
    const mb_code code = mb_list_allocations(broker, string_of("prefix"), &list, &error);
    answer_list(code, list);
}
static void op_grow(void)
{
    mb_list *list = NULL;
    const mb_code code = mb_grow(broker, string_of("name"), number_of("size"), string_of("secret"), &list, &error);
    answer_change(code, list);
}
static void op_shrink(void)
{
    mb_list *list = NULL;
    const mb_code code = mb_shrink(broker, string_of("name"), number_of("size"), string_of("secret"), &list, &error);
    answer_change(code, list);
}
static void op_discard(void)
{
    mb_piece pieces[8] = {0};
    size_t count = 0;
    uint64_t resident;
    json_each each = json_begin(json_get(arguments, "pieces"));
    while (count < 8 && json_next(&each)) {
        int64_t offset = 0, length = 0;
        json_integer(json_get(each.value, "offset"), &offset);
        json_integer(json_get(each.value, "length"), &length);
        pieces[count++] = (mb_piece){(uint64_t)offset, (uint64_t)length};
    }
    if (!failed(mb_discard(broker, string_of("name"), pieces, count, string_of("secret"), &resident, &error)))
        text_size(&answer, "result", resident);
}
static void op_set_metadata(void)
{
    mb_list *list = NULL;
    const mb_code code = mb_set_metadata(broker, string_of("name"), object_of("metadata"), string_of("secret"), &list, &error);
    answer_change(code, list);
}
static void op_share(void)
{
    const char *const access = string_of("access");
    mb_list *list = NULL;
    const mb_access right = access == NULL ? MB_NO_ACCESS : strcmp(access, "read") == 0 ? MB_READ : MB_READ_WRITE;
    const mb_code code =
        mb_share(broker, string_of("name"), (uint32_t)number_of("uid"), right, string_of("secret"), &list, &error);
    answer_change(code, list);
}
static void op_give(void)
{
    mb_list *list = NULL;
    const mb_code code = mb_give(broker, string_of("name"), (uint32_t)number_of("uid"), &list, &error);
    answer_change(code, list);
}
static void op_path(void)
{
    char *path = NULL;
    struct stat found;
    if (failed(mb_path(broker, string_of("name"), &path, &error)))
        return;
    if (path != NULL && stat(path, &found) == 0)
        text_integer(&answer, "result", found.st_size);
    else
        text_string(&answer, "result", "nowhere");
    free(path);
}
static void op_map(void)
{
    const char *const access = string_of("access");
    mb_map_options options = {0};
    mb_mapping *mapping;
    options.offset = number_of("offset");
    options.length = number_of("length");
    options.access = access != NULL && strcmp(access, "read") == 0 ? MB_READ : MB_READ_WRITE;
    options.has_guest_address = has("guestAddress");
    options.guest_address = number_of("guestAddress");
    options.metadata = object_of("metadata");
    options.secret = string_of("secret");
    if (failed(mb_map(broker, string_of("name"), &options, &mapping, &error)))
        return;
    name_mapping(string_of("as"), mapping);
    mb_mapping_on_revoke(mapping, on_revoke, boolean_of("later") ? &answer : NULL);
    put_json(&answer, "result", "");
    put_mapping(&answer, mb_mapping_get_info(mapping));
}
static void op_write(void)
{
    const char *const text = string_of("text");
    void *memory;
    const mb_code code = mb_mapping_memory(named_mapping(string_of("mapping")), &memory, &error);
    if (code == MB_OK)
        memcpy((char *)memory + number_of("offset"), text, strlen(text));
    answer_word(code, "written");
}
static void op_read(void)
{
    char text[256] = {0};
    void *memory;
    const mb_code code = mb_mapping_memory(named_mapping(string_of("mapping")), &memory, &error);
    if (code == MB_OK)
        memcpy(text, (char *)memory + number_of("offset"), (size_t)number_of("length"));
    answer_word(code, text);
}
/* Writes through the guest's layout, reads through each mapping. */
static void op_guest(void)
{
    mb_mapping *all[slots];
    size_t count = 0;
    mb_guest guest;
    for (json_each each = json_begin(json_get(arguments, "mappings")); json_next(&each);) {
        char name[name_bytes];
        json_string(each.value, name, sizeof name);
        all[count++] = named_mapping(name);
    }
    if (failed(mb_guest_map(all, count, &guest, &error)))
        return;
    for (size_t index = 0; index < count; index++) {
        const uint64_t address = mb_mapping_get_info(all[index])->guest_address;
        snprintf((char *)guest.memory + (address - guest.guest_address), 32, "guest %zu", index);
    }
    mb_guest_unmap(broker, &guest);
    put_json(&answer, "result", "{");
    for (size_t index = 0; index < count; index++) {
        void *memory;
        if (mb_mapping_memory(all[index], &memory, &error) == MB_OK)
            text_string(&answer, name_of(all[index]), memory);
    }
    text_add(&answer, "}");
}
static void op_descriptor(void)
{
    const int fd = mb_mapping_fd(named_mapping(string_of("mapping")));
    struct stat status;
    put_json(&answer, "result", "{");
    put_boolean(&answer, "open", fd >= 0 && fstat(fd, &status) == 0);
    put_boolean(&answer, "closeOnExec", fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    text_add(&answer, "}");
}
static const char *outcome_word(mb_outcome outcome)
{
    return outcome == MB_ENDED_WITH_PROOF ? "ended" : outcome == MB_QUARANTINED ? "quarantined" : "gone";
}
static void op_close_mapping(void)
{
    mb_mapping **const slot = slot_of(string_of("mapping"));
    mb_outcome outcome = MB_ALREADY_GONE;
    const mb_code code = mb_mapping_close(*slot, &outcome, &error);
    *slot = NULL;
    answer_word(code, outcome_word(outcome));
}
static void op_state(void)
{
    static const char *const states[] = {"held", "revoking", "dormant", "lost", "closed"};
    answer_word(MB_OK, states[mb_mapping_get_state(named_mapping(string_of("mapping")))]);
}
static mb_end_options end_options(void)
{
    mb_end_options options = {0};
    options.has_grace = has("graceMs");
    options.grace_ms = (int64_t)number_of("graceMs");
    options.secret = string_of("secret");
    return options;
}
static void op_release(void)
{
    const mb_end_options options = end_options();
    mb_outcome outcome = MB_ALREADY_GONE;
    const mb_code code = mb_release(broker, string_of("name"), &options, &outcome, &error);
    answer_word(code, outcome_word(outcome));
}
static void op_revoke(void)
{
    const mb_end_options options = end_options();
    mb_outcome outcome = MB_ALREADY_GONE;
    const mb_code code = mb_revoke(broker, (int64_t)number_of("id"), &options, &outcome, &error);
    answer_word(code, outcome_word(outcome));
}
static void put_claimed(const mb_rebuilt *rebuilt)
{
    static const char *const obstacles[] = {"held", "refused", "unavailable"};
    const char *const as = string_of("as");
    size_t number = 0;
    put_json(&answer, "result", "{");
    put_json(&answer, "claimed", "[");
    for (size_t index = 0; index < rebuilt->claimed_count; index++) {
        const mb_claimed *const one = &rebuilt->claimed[index];
        text_add(&answer, index > 0 ? ",{" : "{");
        put_allocation(&answer, "allocation", one->allocation);
        put_boolean(&answer, "joined", one->joined);
        put_json(&answer, "mappings", "[");
        for (size_t mapping = 0; mapping < one->mapping_count; mapping++) {
            char name[name_bytes];
            snprintf(name, sizeof name, "%s%zu", as, number++);
            name_mapping(name, one->mappings[mapping]);
            mb_mapping_on_revoke(one->mappings[mapping], on_revoke, NULL);
            text_add(&answer, mapping > 0 ? "," : "");
            put_mapping(&answer, mb_mapping_get_info(one->mappings[mapping]));
        }
        text_add(&answer, "]}");
    }
    text_add(&answer, "]");
    put_json(&answer, "notClaimed", "[");
    for (size_t index = 0; index < rebuilt->not_claimed_count; index++) {
        text_add(&answer, index > 0 ? ",{" : "{");
        text_string(&answer, "name", rebuilt->not_claimed[index].name);
        text_string(&answer, "outcome", obstacles[rebuilt->not_claimed[index].obstacle]);
        text_add(&answer, "}");
    }
    text_add(&answer, "]}");
}
static void op_claim(void)
{
    mb_claim_options options = {0};
    mb_rebuilt *rebuilt;
    options.secret = string_of("secret");
    options.take_over = boolean_of("takeOver");
    const char *const name = string_of("name");
    const mb_code code = name != NULL ? mb_claim(broker, name, &options, &rebuilt, &error)
                                      : mb_rebuild(broker, string_of("prefix"), &options, &rebuilt, &error);
    if (failed(code))
        return;
    put_claimed(rebuilt);
    mb_rebuilt_free(rebuilt);
}
static void op_complete(void)
{
    answer_word(mb_complete_hand_over(broker, string_of("name"), &error), "completed");
}
static void op_await(void)
{
    const char *const kind = string_of("event");
    while (!take_event(&answer, kind)) {
        struct pollfd one = {.fd = mb_fd(broker), .events = POLLIN};
        if (poll(&one, 1, 120000) <= 0) {
            text_string(&answer, "result", "never came");
            return;
        }
        if (failed(mb_dispatch(broker, 0, &error)))
            return;
    }
}
static void op_watch(void)
{
    answer_word(mb_watch_begin(broker, boolean_of("mine"), on_watch, NULL, &watch, &error), "watching");
}
static void op_unwatch(void)
{
    mb_watch_end(watch);
    watch = NULL;
    answer_word(MB_OK, "unwatched");
}
static void op_participate(void)
{
    mb_participant participant = {0};
    participant.name = string_of("name");
    participant.prepare = on_prepare;
    participant.cancelled = on_cancelled;
    answers_later = boolean_of("later");
    is_stuck = boolean_of("stuck");
    answer_word(mb_participate(broker, &participant, &participation, &error), "joined");
}
static void op_fail(void)
{
    answer_word(mb_participation_answer(participation, update_asked, MB_FAILED, string_of("reason"), &error), "failed");
}
static void op_leave(void)
{
    mb_participation_end(participation);
    participation = NULL;
    answer_word(MB_OK, "left");
}
static void op_call(void)
{
    char *reply = NULL;
    const mb_code code = mb_call(broker, string_of("method"), object_of("parameters"), &reply, &error);
    answer_word(code, code == MB_OK && reply[0] == '{' ? "called" : "no object");
    free(reply);
}
static void op_descriptors(void)
{
    size_t count = 0;
    DIR *const folder = opendir("/proc/self/fd");
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    text_size(&answer, "result", count);
}

static const struct {
    const char *name;
    void (*run)(void);
} operations[] = {
    {"connect", op_connect},
    {"close", op_close},
    {"status", op_status},
    {"allocate", op_allocate},
    {"get", op_get},
    {"list", op_list},
    {"grow", op_grow},
    {"shrink", op_shrink},
    {"discard", op_discard},
    {"setMetadata", op_set_metadata},
    {"share", op_share},
    {"give", op_give},
    {"path", op_path},
    {"map", op_map},
    {"write", op_write},
    {"read", op_read},
    {"guest", op_guest},
    {"descriptor", op_descriptor},
    {"closeMapping", op_close_mapping},
    {"state", op_state},
    {"release", op_release},
    {"revoke", op_revoke},
    {"claim", op_claim},
    {"completeHandOver", op_complete},
    {"await", op_await},
    {"watch", op_watch},
    {"unwatch", op_unwatch},
    {"participate", op_participate},
    {"fail", op_fail},
    {"leave", op_leave},
    {"call", op_call},
    {"descriptors", op_descriptors},
};

static void handle(const char *line, size_t length)
{
    if (json_check(line, length, 64) != NULL) {
        fprintf(stderr, "driver: not JSON: %s\n", line);
        exit(1);
    }
    const json request = json_root(line, length);
    arguments = json_get(request, "args");
    text_add(&answer, "{");
    for (size_t index = 0; index < sizeof operations / sizeof *operations; index++)
        if (json_is(json_get(request, "op"), operations[index].name))
            operations[index].run();
    text_add(&answer, "}\n");
    fputs(answer.at, stdout);
    fflush(stdout);
    text_free(&answer);
    while (held_count > 0)
        free(held[--held_count]);
}

/* The lines that are whole. */
static size_t handle_lines(char *input, size_t used)
{
    for (char *end; (end = memchr(input, '\n', used)) != NULL;) {
        const size_t length = (size_t)(end - input);
        handle(input, length);
        used -= length + 1;
        memmove(input, end + 1, used);
    }
    return used;
}

/* An event loop, as a program has one that the broker may ask for its memory. */
int main(void)
{
    static char input[1 << 20];
    size_t used = 0;
    for (;;) {
        struct pollfd both[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
        if (broker != NULL)
            both[1].fd = mb_fd(broker);
        poll(both, 2, -1);
        if (broker != NULL && both[1].revents != 0)
            mb_dispatch(broker, 0, NULL);
        if (both[0].revents == 0)
            continue;
        const ssize_t count = read(STDIN_FILENO, input + used, sizeof input - used);
        if (count <= 0)
            break;
        used = handle_lines(input, used + (size_t)count);
    }
    mb_close(broker);
    mb_close(earlier);
    forget_all();
    return 0;
}
