/* Memory for results, and arrays that grow. */
#pragma once

#include <stddef.h>

/* Memory that ends together: the parts of one result. */
struct arena {
    struct arena *next;
};
void *arena_take(struct arena **arena, size_t count, size_t bytes); /* zeros; NULL: none */
void arena_free(struct arena *arena);
/* An array with room for one more; NULL: no memory, and the array is as it was. */
void *with_room(void *array, size_t count, size_t *room, size_t item);
