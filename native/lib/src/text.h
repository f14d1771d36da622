/* A text that grows: the JSON of calls. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: an empty text. It keeps the first failure, and adds nothing after it. */
struct text {
    char *at;
    size_t used, room;
    bool no_memory;
    const char *wrong; /* the parameter that is no UTF-8, or no JSON object */
};

void text_free(struct text *text);

/* Without escaping. */
void text_add(struct text *text, const char *part);
void text_add_bytes(struct text *text, const char *bytes, size_t count);

/*
 * Add a member to an object: ,"name":value. They add nothing where the value is NULL. Each writes its comma first, so the object's first member
 * is written by hand.
 */
void text_string(struct text *text, const char *name, const char *value);
void text_object(struct text *text, const char *name, const char *value); /* JSON that the caller gave */
void text_integer(struct text *text, const char *name, int64_t value);
void text_size(struct text *text, const char *name, uint64_t value);
void text_true(struct text *text, const char *name, bool value); /* only if it is true */
