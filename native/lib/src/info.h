/* What the broker says, as structures. */
#pragma once

#include "../membroker.h"
#include "json.h"
#include "memory.h"

/* NULL: not as the contract says, or no memory. */
const mb_allocation *read_allocation(json value, struct arena **arena);
const mb_mapping_info *read_mapping(json value, struct arena **arena);
char *read_text(json value, struct arena **arena); /* NULL also where it is absent */
const char *raw_text(json value, struct arena **arena); /* an object's JSON */

struct list_builder {
    struct arena *arena;
    const mb_allocation **allocations;
    const mb_mapping_info **mappings;
    size_t allocation_count, mapping_count, allocation_room, mapping_room;
    bool no_memory;
};
/* False: not as the contract says. Absent values add nothing. */
bool list_add(struct list_builder *builder, json allocations, json mappings);
bool list_add_allocation(struct list_builder *builder, json allocation);
void list_discard(struct list_builder *builder);
/* NULL: no memory; the builder is empty then as well. */
mb_list *list_finish(struct list_builder *builder);
