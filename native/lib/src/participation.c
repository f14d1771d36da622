/* A participant in updates of the host. */
#include "errands.h"
#include "error.h"
#include "info.h"
#include "link.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>

enum { detail_bytes_max = 512 };

struct mb_participation {
    struct stream stream;
    mb_participant participant; /* its name is ours */
    bool joined;
    int64_t number;    /* the broker's, for answers */
    int64_t preparing; /* the update that prepare() was called for; 0: none */
    bool answered;
    mb_answer answer;
    char detail[detail_bytes_max + 1];
};

static mb_code begin(struct stream *stream, mb_error *error)
{
    struct text parameters = {0};
    text_string(&parameters, "name", ((mb_participation *)stream)->participant.name);
    const mb_code code = stream_send(stream, "JoinUpdates", &parameters, true, error);
    text_free(&parameters);
    return code;
}

static mb_code send_answer(mb_participation *participation, mb_error *error)
{
    struct text parameters = {0};
    text_integer(&parameters, "participant", participation->number);
    text_integer(&parameters, "update", participation->preparing);
    text_string(&parameters, "outcome", participation->answer == MB_READY ? "ready" : "failed");
    text_true(&parameters, "staysPaused", participation->answer == MB_STAYS_PAUSED);
    text_string(&parameters, "detail", participation->detail[0] == 0 ? NULL : participation->detail);
    return run_errand(participation->stream.broker, errand_answer, &parameters, error);
}

static void cancel(mb_participation *participation, const char *reason)
{
    const mb_participant *const participant = &participation->participant;
    const int64_t update = participation->preparing;
    participation->preparing = 0;
    if (participant->cancelled != NULL)
        participant->cancelled(participant->context, participation, update, reason);
}

static void prepare(mb_participation *participation, int64_t id, const char *reason, int64_t deadline_ms)
{
    const mb_update update = {id, reason, deadline_ms};
    mb_error error;
    if (participation->preparing == 0) {
        participation->preparing = id;
        participation->answered = false;
        participation->participant.prepare(participation->participant.context, participation, &update);
    } else if (participation->answered && send_answer(participation, &error) != MB_OK)
        warn(participation->stream.broker, &error);
}

static void heard(mb_participation *participation, json kind, int64_t update, const char *reason, int64_t deadline_ms)
{
    /* While the connection was broken, an update may have ended, and another begun. */
    if (participation->preparing != 0 && participation->preparing != update)
        cancel(participation, "it was called off while the broker was away");
    if (json_is(kind, "cancel") && participation->preparing != 0)
        cancel(participation, reason);
    if (json_is(kind, "prepare") && update != 0 && !participation->stream.ended && !participation->stream.broker->closing)
        prepare(participation, update, reason, deadline_ms);
}

static bool receive(struct stream *stream, const struct reply *reply)
{
    mb_participation *const participation = (mb_participation *)stream;
    const json from = reply->parameters;
    int64_t update = 0, deadline_ms = 0;
    struct arena *arena = NULL;
    if (reply->fds.count > 0 || !json_integer(json_get(from, "participant"), &participation->number)) {
        violation(&stream->error, "JoinUpdates", "it is not as the contract says");
        return false;
    }
    participation->joined = true;
    json_integer(json_get(from, "update"), &update);
    json_integer(json_get(from, "deadlineMs"), &deadline_ms);
    const char *const reason = read_text(json_get(from, "reason"), &arena);
    heard(participation, json_get(from, "kind"), update, reason == NULL ? "" : reason, deadline_ms);
    arena_free(arena);
    return reply->continues;
}

static bool refused(struct stream *stream, const mb_error *error)
{
    stream_rest(stream);
    if (((mb_participation *)stream)->joined)
        warn(stream->broker, error);
    return true;
}

static void release(struct stream *stream)
{
    free((void *)(uintptr_t)((mb_participation *)stream)->participant.name);
    free(stream);
}

static const struct stream_kind stream_kind = {begin, receive, refused, release, NULL};

mb_code mb_participate(mb_broker *broker, const mb_participant *participant, mb_participation **result, mb_error *error)
{
    error = ERROR_OR_OWN(error);
    if (check_broker(broker, error) != MB_OK || check_reserved(participant->reserved, error) != MB_OK)
        return error->code;
    if (participant->name == NULL || participant->prepare == NULL)
        return fail(error, MB_INVALID_ARGUMENT, "participant: it has no name or no prepare");
    if (!utf8_check(participant->name, strlen(participant->name)))
        return fail(error, MB_INVALID_ARGUMENT, "name: it is no valid UTF-8");
    mb_participation *const participation = calloc(1, sizeof *participation);
    char *const name = strdup(participant->name);
    if (participation == NULL || name == NULL) {
        free(participation);
        free(name);
        return fail(error, MB_NO_MEMORY, "no memory for a participation");
    }
    participation->participant = *participant;
    participation->participant.name = name;
    stream_add(broker, &participation->stream, &stream_kind);
    const mb_code code = stream_wait(&participation->stream, &participation->joined, error);
    if (code == MB_OK)
        *result = participation;
    else
        mb_participation_end(participation);
    return code;
}

mb_code mb_participation_answer(mb_participation *participation, int64_t update, mb_answer answer, const char *detail, mb_error *error)
{
    error = ERROR_OR_OWN(error);
    if (check_broker(participation->stream.broker, error) != MB_OK)
        return error->code;
    if (participation->preparing == 0 || participation->preparing != update)
        return fail(error, MB_INVALID_ARGUMENT, "update: this process does not prepare for update %lld", (long long)update);
    if ((unsigned)answer > MB_STAYS_PAUSED)
        return fail(error, MB_INVALID_ARGUMENT, "answer: it is none of mb_answer");
    size_t length = detail == NULL ? 0 : strlen(detail);
    if (!utf8_check(detail == NULL ? "" : detail, length))
        return fail(error, MB_INVALID_ARGUMENT, "detail: it is no valid UTF-8");
    length = length > detail_bytes_max ? detail_bytes_max : length;
    while (length > 0 && !utf8_check(detail, length))
        length--;
    /* The broker takes one line. */
    for (size_t index = 0; index < length; index++)
        participation->detail[index] = (unsigned char)detail[index] < 0x20 || detail[index] == 0x7f ? ' ' : detail[index];
    participation->detail[length] = 0;
    participation->answered = true;
    participation->answer = answer;
    return send_answer(participation, error);
}

void mb_participation_end(mb_participation *participation)
{
    if (participation != NULL)
        stream_end(&participation->stream);
}
