#include "memory.h"

#include <stdlib.h>

void *arena_take(struct arena **arena, size_t count, size_t bytes)
{
    /* No overflow: a count is of something in a reply, which has 4 MiB at most. */
    struct arena *const one = calloc(1, sizeof *one + count * bytes);
    if (one == NULL)
        return NULL;
    one->next = *arena;
    *arena = one;
    return one + 1;
}

void arena_free(struct arena *arena)
{
    while (arena != NULL) {
        struct arena *const next = arena->next;
        free(arena);
        arena = next;
    }
}

void *with_room(void *array, size_t count, size_t *room, size_t item)
{
    if (count < *room)
        return array;
    const size_t next = *room == 0 ? 8 : *room * 2;
    void *const more = realloc(array, next * item);
    if (more != NULL)
        *room = next;
    return more;
}
