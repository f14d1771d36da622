/* Finds values in the JSON of a reply. The text ends with a NUL byte; what is not JSON leads to NULL, never astray. */
#ifndef EXAMPLE_JSON_H
#define EXAMPLE_JSON_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *json_space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

/* Past a string, which begins at its quotation mark. */
static const char *json_skip_string(const char *at)
{
    for (at++; *at != '"'; at++)
        if (*at == 0 || (*at == '\\' && *++at == 0))
            return at;
    return at + 1;
}

/* Past a value, however deep. */
static const char *json_skip(const char *at)
{
    int depth = 0;
    do {
        at = json_space(at);
        if (*at == '"')
            at = json_skip_string(at);
        else if (*at == '{' || *at == '[')
            depth++, at++;
        else if (*at == '}' || *at == ']')
            depth--, at++;
        else if (*at == ',' || *at == ':')
            at++;
        else
            at += strcspn(at, "{}[],: \t\r\n\"");
    } while (depth > 0 && *at);
    return at;
}

/* The value of an object's member, or of an array's element by its number. NULL: there is none. */
static const char *json_child(const char *at, const char *name, size_t length)
{
    const bool object = *at == '{';
    long left = object ? 0 : strtol(name, NULL, 10);
    if (!object && *at != '[')
        return NULL;
    for (at = json_space(at + 1); *at && *at != '}' && *at != ']'; at = json_space(at)) {
        bool found = !object && left-- == 0;
        if (object) {
            const char *const key = at;
            if (*key != '"')
                return NULL;
            at = json_space(json_skip_string(key));
            found = !strncmp(key + 1, name, length) && key[length + 1] == '"';
            if (*at++ != ':')
                return NULL;
            at = json_space(at);
        }
        if (found)
            return at;
        at = json_space(json_skip(at));
        if (*at == ',')
            at++;
    }
    return NULL;
}

/* The value at a path, as "parameters.grants.0.mmapOffset". NULL: absent, or null, which is the same in this protocol. */
static const char *json_at(const char *at, const char *path)
{
    for (at = json_space(at); at && *path;) {
        const size_t length = strcspn(path, ".");
        at = json_child(at, path, length);
        path += length + (path[length] == '.');
    }
    return at && strncmp(at, "null", 4) ? at : NULL;
}

/* Whether it is this string; for texts without anything that JSON escapes. */
static bool json_is(const char *value, const char *text)
{
    const size_t length = strlen(text);
    return value && *value == '"' && !strncmp(value + 1, text, length) && value[length + 1] == '"';
}

/* False: it is no integer that fits. */
static bool json_integer(const char *value, long long *result)
{
    char *end;
    if (!value)
        return false;
    *result = strtoll(value, &end, 10);
    return end > value && *end != '.' && *end != 'e' && *end != 'E';
}

#endif
