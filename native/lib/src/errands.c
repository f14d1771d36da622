/* Calls that nobody waits for: that a mapping is given back, and the answers of participants. */
#include "errands.h"
#include "error.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>

struct errand {
    struct errand *next;
    struct text parameters;
};

struct errands {
    struct stream stream;
    const char *method;
    struct errand *first;
};

static mb_code begin(struct stream *stream, mb_error *error)
{
    struct errands *const errands = (struct errands *)stream;
    return stream_send(stream, errands->method, &errands->first->parameters, false, error);
}

/* On to the next; with none left the connection ends. */
static bool next(struct errands *errands)
{
    struct errand *const done = errands->first;
    struct stream *const stream = &errands->stream;
    mb_error error;
    errands->first = done->next;
    text_free(&done->parameters);
    free(done);
    if (errands->first != NULL)
        return begin(stream, &error) == MB_OK;
    stream_rest(stream);
    return true;
}

static bool receive(struct stream *stream, const struct reply *reply)
{
    return !reply->continues && next((struct errands *)stream);
}

static bool refused(struct stream *stream, const mb_error *error)
{
    const mb_code code = error->code;
    if (code == MB_BUSY || code == MB_FROZEN || code == MB_RANGE_READ_ONLY)
        return false;
    /* The broker has ended the mapping already, or the update is over. */
    if (code != MB_NOT_FOUND)
        warn(stream->broker, error);
    return next((struct errands *)stream);
}

static void release(struct stream *stream)
{
    struct errands *const errands = (struct errands *)stream;
    while (errands->first != NULL) {
        struct errand *const one = errands->first;
        errands->first = one->next;
        text_free(&one->parameters);
        free(one);
    }
    free(errands);
}

static const struct stream_kind stream_kind = {begin, receive, refused, release, NULL};

static struct errands *errands_of(mb_broker *broker, enum errand_kind kind)
{
    if (broker->errands[kind] != NULL)
        return broker->errands[kind];
    struct errands *const errands = calloc(1, sizeof *errands);
    if (errands == NULL)
        return NULL;
    errands->method = kind == errand_revoke ? "RevokeMapping" : "AnswerUpdate";
    errands->stream.idle = true;
    stream_add(broker, &errands->stream, &stream_kind);
    broker->errands[kind] = errands;
    return errands;
}

mb_code run_errand(mb_broker *broker, enum errand_kind kind, struct text *parameters, mb_error *error)
{
    struct errands *const errands = errands_of(broker, kind);
    struct errand *const one = errands == NULL ? NULL : calloc(1, sizeof *one);
    if (one == NULL || parameters->no_memory || parameters->wrong != NULL) {
        const char *const wrong = parameters->wrong;
        free(one);
        text_free(parameters);
        return wrong != NULL ? fail(error, MB_INVALID_ARGUMENT, "%s: it is no valid UTF-8", wrong)
                             : fail(error, MB_NO_MEMORY, "no memory for an answer to the broker");
    }
    one->parameters = *parameters;
    struct errand **place = &errands->first;
    while (*place != NULL)
        place = &(*place)->next;
    *place = one;
    if (errands->stream.idle) {
        errands->stream.idle = false;
        errands->stream.retry_at = now_ms();
    }
    arm(broker);
    return MB_OK;
}
