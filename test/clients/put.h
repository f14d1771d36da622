/* The JSON of what the library returns, as the drivers of all languages write it. */
#pragma once

#include "../../native/lib/membroker.h"
#include "../../native/lib/src/text.h"

/* A member of an object that is begun. NULL: null. */
void put_json(struct text *text, const char *name, const char *value);
void put_boolean(struct text *text, const char *name, bool value);
/* name: NULL where it is no member. */
void put_allocation(struct text *text, const char *name, const mb_allocation *allocation);
void put_mapping(struct text *text, const mb_mapping_info *info);
void put_list(struct text *text, const mb_list *list);
