#include "json.h"

#include <string.h>

static const char *space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

/* The bytes of the character at `at`, 0 where it is no UTF-8: no overlong form, no surrogate, nothing beyond U+10FFFF. */
static size_t character(const char *at, const char *end)
{
    const unsigned char *const byte = (const unsigned char *)at;
    const size_t left = (size_t)(end - at);
    size_t length;
    unsigned char low = 0x80, high = 0xbf;
    if (byte[0] < 0x80)
        return 1;
    if (byte[0] >= 0xc2 && byte[0] <= 0xdf)
        length = 2;
    else if (byte[0] >= 0xe0 && byte[0] <= 0xef) {
        length = 3;
        low = byte[0] == 0xe0 ? 0xa0 : 0x80;
        high = byte[0] == 0xed ? 0x9f : 0xbf;
    } else if (byte[0] >= 0xf0 && byte[0] <= 0xf4) {
        length = 4;
        low = byte[0] == 0xf0 ? 0x90 : 0x80;
        high = byte[0] == 0xf4 ? 0x8f : 0xbf;
    } else
        return 0;
    if (left < length || byte[1] < low || byte[1] > high)
        return 0;
    for (size_t index = 2; index < length; index++)
        if (byte[index] < 0x80 || byte[index] > 0xbf)
            return 0;
    return length;
}

bool utf8_check(const char *text, size_t length)
{
    const char *const end = text + length;
    while (text < end) {
        const size_t bytes = character(text, end);
        if (bytes == 0)
            return false;
        text += bytes;
    }
    return true;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* The four digits after \u; -1: they are none. */
static int32_t hex_unit(const char *at, const char *end)
{
    int32_t unit = 0;
    if (end - at < 4)
        return -1;
    for (int index = 0; index < 4; index++) {
        const int digit = hex_digit(at[index]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static const char not_json[] = "message is not valid JSON";
static const char not_utf8[] = "message is not valid UTF-8";
static const char not_unicode[] = "message has a string that is not valid Unicode";
static const char too_deep[] = "message nested deeper than 64";

struct checker {
    const char *at;
    const char *end;
    int nesting_max;
    const char *problem;
};

static bool wrong(struct checker *checker, const char *problem)
{
    checker->problem = problem;
    return false;
}

/* Past an escape, at its letter. */
static bool check_escape(struct checker *checker)
{
    if (checker->at == checker->end)
        return wrong(checker, not_json);
    const char letter = *checker->at++;
    if (letter != 'u')
        return (letter != 0 && strchr("\"\\/bfnrt", letter) != NULL) || wrong(checker, not_json);
    const int32_t unit = hex_unit(checker->at, checker->end);
    if (unit < 0)
        return wrong(checker, not_json);
    checker->at += 4;
    if (unit < 0xd800 || unit > 0xdfff)
        return true;
    if (unit > 0xdbff || checker->end - checker->at < 6 || checker->at[0] != '\\' || checker->at[1] != 'u')
        return wrong(checker, not_unicode);
    const int32_t other = hex_unit(checker->at + 2, checker->end);
    if (other < 0xdc00 || other > 0xdfff)
        return wrong(checker, not_unicode);
    checker->at += 6;
    return true;
}

/* Past a string, at its quotation mark. */
static bool check_string(struct checker *checker)
{
    for (checker->at++; checker->at < checker->end;) {
        const char letter = *checker->at;
        if (letter == '"') {
            checker->at++;
            return true;
        }
        if ((unsigned char)letter < 0x20)
            return wrong(checker, not_json);
        if (letter == '\\') {
            checker->at++;
            if (!check_escape(checker))
                return false;
            continue;
        }
        const size_t bytes = character(checker->at, checker->end);
        if (bytes == 0)
            return wrong(checker, not_utf8);
        checker->at += bytes;
    }
    return wrong(checker, not_json);
}

static bool digits(struct checker *checker)
{
    const char *const start = checker->at;
    while (checker->at < checker->end && *checker->at >= '0' && *checker->at <= '9')
        checker->at++;
    return checker->at > start || wrong(checker, not_json);
}

static bool check_number(struct checker *checker)
{
    if (*checker->at == '-')
        checker->at++;
    const char *const first = checker->at;
    if (!digits(checker))
        return false;
    if (*first == '0' && checker->at > first + 1)
        return wrong(checker, not_json);
    if (checker->at < checker->end && *checker->at == '.') {
        checker->at++;
        if (!digits(checker))
            return false;
    }
    if (checker->at < checker->end && (*checker->at == 'e' || *checker->at == 'E')) {
        checker->at++;
        if (checker->at < checker->end && (*checker->at == '+' || *checker->at == '-'))
            checker->at++;
        if (!digits(checker))
            return false;
    }
    return true;
}

static bool check_word(struct checker *checker, const char *word)
{
    const size_t length = strlen(word);
    if ((size_t)(checker->end - checker->at) < length || memcmp(checker->at, word, length) != 0)
        return wrong(checker, utf8_check(checker->at, (size_t)(checker->end - checker->at)) ? not_json : not_utf8);
    checker->at += length;
    return true;
}

static bool check_value(struct checker *checker, int depth);

static bool check_container(struct checker *checker, int depth)
{
    const bool object = *checker->at == '{';
    const char close = object ? '}' : ']';
    if (depth >= checker->nesting_max)
        return wrong(checker, too_deep);
    checker->at = space(checker->at + 1, checker->end);
    if (checker->at < checker->end && *checker->at == close) {
        checker->at++;
        return true;
    }
    for (;;) {
        checker->at = space(checker->at, checker->end);
        if (object) {
            if (checker->at == checker->end || *checker->at != '"')
                return wrong(checker, not_json);
            if (!check_string(checker))
                return false;
            checker->at = space(checker->at, checker->end);
            if (checker->at == checker->end || *checker->at++ != ':')
                return wrong(checker, not_json);
        }
        if (!check_value(checker, depth + 1))
            return false;
        checker->at = space(checker->at, checker->end);
        if (checker->at == checker->end)
            return wrong(checker, not_json);
        const char letter = *checker->at++;
        if (letter == close)
            return true;
        if (letter != ',')
            return wrong(checker, not_json);
    }
}

static bool check_value(struct checker *checker, int depth)
{
    checker->at = space(checker->at, checker->end);
    if (checker->at == checker->end)
        return wrong(checker, not_json);
    switch (*checker->at) {
    case '{':
    case '[': return check_container(checker, depth);
    case '"': return check_string(checker);
    case 't': return check_word(checker, "true");
    case 'f': return check_word(checker, "false");
    case 'n': return check_word(checker, "null");
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return check_number(checker);
    default: return check_word(checker, "{");
    }
}

const char *json_check(const char *text, size_t length, int nesting_max)
{
    struct checker checker = {text, text + length, nesting_max, NULL};
    if (length == 0)
        return "empty message";
    if (!check_value(&checker, 0))
        return checker.problem;
    if (space(checker.at, checker.end) != checker.end)
        return not_json;
    return *space(text, checker.end) == '{' ? NULL : "message is not a JSON object";
}

json json_root(const char *text, size_t length)
{
    const json root = {space(text, text + length), text + length};
    return root;
}

static const char *skip_string(const char *at)
{
    for (at++; *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at + 1;
}

/* Past a value that json_check() has accepted. */
static const char *skip(const char *at, const char *end)
{
    int depth = 0;
    do {
        at = space(at, end);
        if (*at == '"')
            at = skip_string(at);
        else if (*at == '{' || *at == '[')
            depth++, at++;
        else if (*at == '}' || *at == ']')
            depth--, at++;
        else if (*at == ',' || *at == ':')
            at++;
        else
            while (at < end && strchr(",:]} \t\r\n", *at) == NULL)
                at++;
    } while (depth > 0);
    return at;
}

static const json absent = {NULL, NULL};

static json value_at(const char *at, const char *end)
{
    const json value = {at, end};
    return *at == 'n' ? absent : value;
}

json_each json_begin(json container)
{
    json_each each = {absent, absent, NULL};
    if (!json_is_object(container) && !json_is_array(container))
        return each;
    each.value.end = container.end;
    each.next = container.at;
    return each;
}

bool json_next(json_each *each)
{
    if (each->next == NULL)
        return false;
    const char *const end = each->value.end;
    /* At the opening bracket, or at what stands behind an element: a comma, or the closing bracket. */
    const char *at = space(each->next + 1, end);
    const bool first = each->value.at == NULL && each->key.at == NULL && (*each->next == '{' || *each->next == '[');
    if (*each->next == '}' || *each->next == ']' || (first && (*at == '}' || *at == ']'))) {
        each->next = NULL;
        return false;
    }
    const bool object = first ? *each->next == '{' : each->key.at != NULL;
    if (object) {
        each->key.at = at;
        each->key.end = end;
        at = space(skip_string(at), end);
        at = space(at + 1, end);
    }
    each->value = value_at(at, end);
    each->value.end = end;
    each->next = space(skip(at, end), end);
    return true;
}

json json_get(json object, const char *name)
{
    json found = absent;
    if (!json_is_object(object))
        return found;
    for (json_each each = json_begin(object); json_next(&each);)
        if (json_is(each.key, name))
            found = each.value;
    return found;
}

bool json_is_object(json value)
{
    return value.at != NULL && *value.at == '{';
}

bool json_is_array(json value)
{
    return value.at != NULL && *value.at == '[';
}

bool json_is_string(json value)
{
    return value.at != NULL && *value.at == '"';
}

bool json_integer(json value, int64_t *result)
{
    const int64_t max = 9007199254740991;
    const char *at = value.at;
    int64_t number = 0;
    if (at == NULL)
        return false;
    const bool negative = *at == '-';
    if (negative)
        at++;
    if (at == value.end || *at < '0' || *at > '9')
        return false;
    for (; at < value.end && *at >= '0' && *at <= '9'; at++) {
        number = number * 10 + (*at - '0');
        if (number > max)
            return false;
    }
    if (at < value.end && (*at == '.' || *at == 'e' || *at == 'E'))
        return false;
    *result = negative ? -number : number;
    return true;
}

bool json_boolean(json value, bool *result)
{
    if (value.at == NULL || (*value.at != 't' && *value.at != 'f'))
        return false;
    *result = *value.at == 't';
    return true;
}

/* The bytes of one character of a string, at most 4, and past it. */
static size_t decode(const char **from, char bytes[4])
{
    const char *at = *from;
    if (*at != '\\') {
        bytes[0] = *at++;
        *from = at;
        return 1;
    }
    uint32_t code;
    switch (at[1]) {
    case 'b': code = '\b'; break;
    case 'f': code = '\f'; break;
    case 'n': code = '\n'; break;
    case 'r': code = '\r'; break;
    case 't': code = '\t'; break;
    case 'u': code = (uint32_t)hex_unit(at + 2, at + 6); break;
    default: code = (unsigned char)at[1];
    }
    at += at[1] == 'u' ? 6 : 2;
    if (code >= 0xd800 && code <= 0xdbff) {
        code = 0x10000 + ((code - 0xd800) << 10) + ((uint32_t)hex_unit(at + 2, at + 6) - 0xdc00);
        at += 6;
    }
    if (code == 0)
        code = 0xfffd;
    *from = at;
    if (code < 0x80) {
        bytes[0] = (char)code;
        return 1;
    }
    const size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t index = length - 1; index > 0; index--, code >>= 6)
        bytes[index] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(lead[length] | code);
    return length;
}

size_t json_string(json value, char *out, size_t room)
{
    size_t length = 0, kept = 0;
    if (json_is_string(value)) {
        for (const char *at = value.at + 1; *at != '"';) {
            char bytes[4];
            const size_t count = decode(&at, bytes);
            if (length + count < room && kept == length) {
                memcpy(out + length, bytes, count);
                kept += count;
            }
            length += count;
        }
    }
    /* Bytes that are not escaped come one by one: what was cut may be the rest of a character. */
    while (kept < length && kept > 0 && !utf8_check(out, kept))
        kept--;
    if (room > 0)
        out[kept] = 0;
    return length;
}

bool json_is(json value, const char *text)
{
    if (!json_is_string(value))
        return false;
    for (const char *at = value.at + 1; *at != '"';) {
        char bytes[4];
        const size_t count = decode(&at, bytes);
        if (strncmp(text, bytes, count) != 0)
            return false;
        text += count;
    }
    return *text == 0;
}

size_t json_length(json value)
{
    return value.at == NULL ? 0 : (size_t)(skip(value.at, value.end) - value.at);
}
