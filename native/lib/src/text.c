#include "text.h"

#include "json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_free(struct text *text)
{
    free(text->at);
    memset(text, 0, sizeof *text);
}

void text_add_bytes(struct text *text, const char *bytes, size_t count)
{
    if (text->no_memory)
        return;
    if (text->used + count + 1 > text->room) {
        const size_t room = (text->used + count + 1) * 2;
        char *const more = realloc(text->at, room);
        if (more == NULL) {
            text->no_memory = true;
            return;
        }
        text->at = more;
        text->room = room;
    }
    memcpy(text->at + text->used, bytes, count);
    text->used += count;
    text->at[text->used] = 0;
}

void text_add(struct text *text, const char *part)
{
    text_add_bytes(text, part, strlen(part));
}

static void add_name(struct text *text, const char *name)
{
    if (text->used > 0 && text->at[text->used - 1] != '{')
        text_add(text, ",");
    text_add(text, "\"");
    text_add(text, name);
    text_add(text, "\":");
}

void text_string(struct text *text, const char *name, const char *value)
{
    if (value == NULL)
        return;
    if (!utf8_check(value, strlen(value))) {
        text->wrong = name;
        return;
    }
    add_name(text, name);
    text_add(text, "\"");
    for (const char *at = value; *at != 0; at++) {
        char escape[8];
        if (*at == '"' || *at == '\\') {
            escape[0] = '\\';
            escape[1] = *at;
            text_add_bytes(text, escape, 2);
        } else if ((unsigned char)*at < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(unsigned char)*at);
            text_add(text, escape);
        } else
            text_add_bytes(text, at, 1);
    }
    text_add(text, "\"");
}

void text_object(struct text *text, const char *name, const char *value)
{
    if (value == NULL)
        return;
    if (json_check(value, strlen(value), json_nesting_max - 2) != NULL) {
        text->wrong = name;
        return;
    }
    add_name(text, name);
    text_add(text, value);
}

void text_integer(struct text *text, const char *name, int64_t value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRId64, value);
    add_name(text, name);
    text_add(text, digits);
}

void text_size(struct text *text, const char *name, uint64_t value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    add_name(text, name);
    text_add(text, digits);
}

void text_true(struct text *text, const char *name, bool value)
{
    if (!value)
        return;
    add_name(text, name);
    text_add(text, "true");
}
