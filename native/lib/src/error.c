#include "error.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    mb_code code;
    const char *name;
} names[] = {
    {MB_OK, "OK"},
    {MB_TIMED_OUT, "TimedOut"},
    {MB_BROKER_UNREACHABLE, "BrokerUnreachable"},
    {MB_CLOSED, "Closed"},
    {MB_CONNECTION_LOST, "ConnectionLost"},
    {MB_INVALID_ARGUMENT, "InvalidArgument"},
    {MB_MAPPING_REVOKED, "MappingRevoked"},
    {MB_MAP_FAILED, "MapFailed"},
    {MB_NO_MEMORY, "NoMemory"},
    {MB_PROTOCOL_VIOLATION, "ProtocolViolation"},
    {MB_NOT_FOUND, "NotFound"},
    {MB_NAME_TAKEN, "NameTaken"},
    {MB_NO_SPACE, "NoSpace"},
    {MB_QUOTA_EXCEEDED, "QuotaExceeded"},
    {MB_PERMISSION_DENIED, "PermissionDenied"},
    {MB_ALREADY_CLAIMED, "AlreadyClaimed"},
    {MB_NOT_CLAIMED, "NotClaimed"},
    {MB_FROZEN, "Frozen"},
    {MB_RANGE_READ_ONLY, "RangeReadOnly"},
    {MB_TABLE_FULL, "TableFull"},
    {MB_LIMIT_EXCEEDED, "LimitExceeded"},
    {MB_BUSY, "Busy"},
    {MB_UPDATE_NOT_READY, "UpdateNotReady"},
    {MB_CONSOLE_OFF, "ConsoleOff"},
    {MB_CONFIG_INVALID, "ConfigInvalid"},
    {MB_SOURCE_FAILED, "SourceFailed"},
    {MB_INTERFACE_NOT_FOUND, "InterfaceNotFound"},
    {MB_METHOD_NOT_FOUND, "MethodNotFound"},
    {MB_INVALID_PARAMETER, "InvalidParameter"},
    {MB_EXPECTED_MORE, "ExpectedMore"},
    {MB_UNKNOWN_ERROR, "UnknownError"},
};

const char *mb_code_name(mb_code code)
{
    for (size_t index = 0; index < sizeof names / sizeof *names; index++)
        if (names[index].code == code)
            return names[index].name;
    return "UnknownError";
}

mb_code fail(mb_error *error, mb_code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    error->code = code;
    snprintf(error->name, sizeof error->name, "%s", mb_code_name(code));
    memcpy(error->parameters, "{}", 3);
    error->system_error = 0;
    return code;
}

mb_code fail_system(mb_error *error, mb_code code, int system_error, const char *what)
{
    fail(error, code, "%s: %s", what, strerror(system_error));
    error->system_error = system_error;
    return code;
}

mb_code violation(mb_error *error, const char *method, const char *reason)
{
    return fail(error, MB_PROTOCOL_VIOLATION, "the broker's reply to %s can't be used: %s", method, reason);
}

static json parameters_of(const mb_error *error)
{
    return json_root(error->parameters, strlen(error->parameters));
}

bool mb_error_integer(const mb_error *error, const char *parameter, int64_t *value)
{
    return json_integer(json_get(parameters_of(error), parameter), value);
}

bool mb_error_string(const mb_error *error, const char *parameter, char *value, size_t bytes)
{
    const json found = json_get(parameters_of(error), parameter);
    json_string(found, value, bytes);
    return json_is_string(found);
}

/* How each error is told, with its parameters in braces. */
static const struct {
    mb_code code;
    const char *sentence;
} sentences[] = {
    {MB_NOT_FOUND, "there is no {kind} {name} that you may see"},
    {MB_NAME_TAKEN, "the name {name} is in use"},
    {MB_INVALID_ARGUMENT, "{parameter}: {reason}"},
    {MB_NO_SPACE, "range {range} can't serve {requestedBytes} bytes: {freeBytes} free, {largestFreeBytes} in one piece"},
    {MB_QUOTA_EXCEEDED, "uid {uid} is over its quota of {resource}: {requested} requested, {used} of {limit} in use"},
    {MB_PERMISSION_DENIED, "{reason}"},
    {MB_ALREADY_CLAIMED, "process {pid}, which is alive, holds {name}"},
    {MB_NOT_CLAIMED, "this process does not hold {name}: claim it first"},
    {MB_FROZEN, "the broker is frozen and refuses changes: {reason}"},
    {MB_RANGE_READ_ONLY, "range {range} is read-only: {reason}"},
    {MB_TABLE_FULL, "the allocation table of range {range} is full ({stateBytesMax} bytes of state)"},
    {MB_LIMIT_EXCEEDED, "over the limit {limit} (at most {max})"},
    {MB_BUSY, "{name} is busy: {operation} is under way"},
    {MB_UPDATE_NOT_READY, "update {update} of the host can't proceed: {reason}"},
    {MB_CONSOLE_OFF, "the debug console is off: the broker's configuration does not start it"},
    {MB_CONFIG_INVALID, "the configuration file is wrong, the running configuration stays: {reason}"},
    {MB_SOURCE_FAILED, "{operation} failed in range {range}: {reason} ({code})"},
    {MB_INVALID_PARAMETER, "the broker does not accept parameter {parameter}"},
    {MB_METHOD_NOT_FOUND, "the broker does not know the method {method}: it is older than this library"},
    {MB_INTERFACE_NOT_FOUND, "the program at the socket does not speak {interface}"},
};

static void put(char *out, size_t room, size_t *used, const char *text, size_t count)
{
    while (count > 0 && *used + 1 < room) {
        out[(*used)++] = *text++;
        count--;
    }
    out[*used] = 0;
}

/* The sentence with its parameters; what is no string or integer of the reply is left out. */
static void tell(mb_error *error, const char *sentence)
{
    const json parameters = parameters_of(error);
    char *const out = error->message;
    const size_t room = sizeof error->message;
    size_t used = 0;
    for (const char *at = sentence; *at != 0;) {
        const size_t plain = strcspn(at, "{");
        put(out, room, &used, at, plain);
        at += plain;
        if (*at == 0)
            break;
        char name[32], value[600];
        const size_t length = strcspn(at + 1, "}");
        snprintf(name, sizeof name, "%.*s", (int)length, at + 1);
        const json found = json_get(parameters, name);
        int64_t number;
        if (json_integer(found, &number))
            snprintf(value, sizeof value, "%" PRId64, number);
        else
            json_string(found, value, sizeof value);
        put(out, room, &used, value, strlen(value));
        at += length + 2;
    }
}

mb_code error_of(json qualified_name, json parameters, mb_error *error)
{
    if (qualified_name.at == NULL)
        return MB_OK;
    char qualified[256];
    json_string(qualified_name, qualified, sizeof qualified);
    const char *const dot = strrchr(qualified, '.');
    const char *const name = dot == NULL ? qualified : dot + 1;
    mb_code code = MB_UNKNOWN_ERROR;
    for (size_t index = 0; index < sizeof names / sizeof *names; index++)
        if (strcmp(names[index].name, name) == 0 && (names[index].code >= MB_NOT_FOUND || names[index].code == MB_INVALID_ARGUMENT))
            code = names[index].code;
    fail(error, code, "the broker refused with %.100s", name);
    snprintf(error->name, sizeof error->name, "%.63s", name);
    const size_t length = json_length(parameters);
    if (length > 0 && length < sizeof error->parameters) {
        memcpy(error->parameters, parameters.at, length);
        error->parameters[length] = 0;
    }
    for (size_t index = 0; index < sizeof sentences / sizeof *sentences; index++)
        if (sentences[index].code == code)
            tell(error, sentences[index].sentence);
    return code;
}
