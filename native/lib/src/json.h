/*
 * JSON without memory of its own. json_check() looks at a whole text once; afterwards the other functions walk in it, and can't leave it.
 * A value is the place of its text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A value in a text that json_check() has accepted. at is NULL: absent, or null, which is the same in this protocol. */
typedef struct {
    const char *at;
    const char *end; /* of the whole text */
} json;

enum { json_nesting_max = 64 };

/* NULL: the text is one JSON object, as RFC 8259 and WIRE.md have it. Otherwise what is wrong with it, in the words of WIRE.md. */
const char *json_check(const char *text, size_t length, int nesting_max);

json json_root(const char *text, size_t length);

/* A member of an object, the last of that name. Absent if the value is no object. */
json json_get(json object, const char *name);

/* The elements of an array, the members of an object: first the place before them, then each. */
typedef struct {
    json key; /* of a member */
    json value;
    const char *next;
} json_each;
json_each json_begin(json container);
bool json_next(json_each *each);

bool json_is_object(json value);
bool json_is_array(json value);
bool json_is_string(json value);

/* True: it is an integer of the contract, -(2^53-1) to 2^53-1 without fraction and exponent. */
bool json_integer(json value, int64_t *result);
bool json_boolean(json value, bool *result);

/* Whether it is this string. */
bool json_is(json value, const char *text);

/* The string, decoded, into bytes of room with a NUL; what does not fit is cut at a character. Returns the bytes that the whole needs without
 * the NUL. 0 if it is no string. A NUL in the string becomes U+FFFD, so that no text is cut unseen. */
size_t json_string(json value, char *out, size_t room);

/* The length of the value's text. */
size_t json_length(json value);

/* Whether these bytes are UTF-8. */
bool utf8_check(const char *text, size_t length);
