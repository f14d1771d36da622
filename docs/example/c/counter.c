/*
 * A program whose counter outlives it: counter [stay]
 * Each run takes up the memory of the run before, or new memory the first time, adds one to the counter in it, and ends without giving the
 * memory back. With stay it goes on until the broker wants the memory back.
 */
#include <membroker.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char name[] = "example/counter";

/* What the memory begins with. */
struct contents {
    uint64_t runs;
};

static void must(mb_code code, const mb_error *error)
{
    if (code == MB_OK)
        return;
    fprintf(stderr, "counter: %s: %s\n", error->name, error->message);
    exit(1);
}

/* The mapping of the run before; NULL: there was none, or it was given up. */
static mb_mapping *claimed(mb_broker *broker)
{
    mb_error error;
    mb_rebuilt *rebuilt;
    const mb_code code = mb_claim(broker, name, NULL, &rebuilt, &error);
    if (code == MB_NOT_FOUND) {
        must(mb_allocate(broker, name, 4096, NULL, NULL, &error), &error);
        return NULL;
    }
    must(code, &error);
    const mb_claimed *one = &rebuilt->claimed[0];
    mb_mapping *mapping = one->mapping_count > 0 ? one->mappings[0] : NULL;
    mb_rebuilt_free(rebuilt);
    return mapping;
}

/* Whatever was made from the memory ends here; the library itself unmaps it and closes the descriptor. */
static mb_reply give_back(void *context, mb_mapping *mapping, const mb_revoke_notice *notice)
{
    (void)mapping;
    printf("asked to give the memory back within %lld ms\n", (long long)notice->left_ms);
    *(bool *)context = true;
    return MB_DONE;
}

/* Any event loop does that: wait for mb_fd(), and call mb_dispatch(). */
static void stay(mb_broker *broker, mb_mapping *mapping)
{
    mb_error error;
    bool asked = false;
    mb_mapping_on_revoke(mapping, give_back, &asked);
    while (!asked) {
        struct pollfd notices = {.fd = mb_fd(broker), .events = POLLIN};
        if (poll(&notices, 1, -1) < 0 && errno != EINTR)
            exit(1);
        must(mb_dispatch(broker, 0, &error), &error);
    }
    must(mb_mapping_close(mapping, NULL, &error), &error);
}

int main(int argc, char **argv)
{
    mb_broker *broker;
    mb_error error;
    void *memory;
    must(mb_connect(NULL, &broker, &error), &error);
    mb_mapping *mapping = claimed(broker);
    if (mapping == NULL)
        must(mb_map(broker, name, NULL, &mapping, &error), &error);
    must(mb_mapping_memory(mapping, &memory, &error), &error);
    struct contents *const contents = memory;
    /* One store: a program killed here leaves the old number or the new one. */
    const uint64_t runs = __atomic_add_fetch(&contents->runs, 1, __ATOMIC_SEQ_CST);
    printf("run %llu\n", (unsigned long long)runs);
    fflush(stdout);
    if (argc > 1 && strcmp(argv[1], "stay") == 0)
        stay(broker, mapping);
    mb_close(broker);
    return 0;
}
