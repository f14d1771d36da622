/* The way to the broker: the shared connection, and others for calls that may take long. */
#pragma once

#include "broker.h"
#include "text.h"

/* Guards of every function of the header. */
mb_code check_broker(const mb_broker *broker, mb_error *error);
mb_code check_reserved(const uintptr_t reserved[4], mb_error *error);

enum repeat { repeat_never, repeat_harmless };

/* `{"method":...,"parameters":{` and what follows the parameters, around what text has. MB_INVALID_ARGUMENT, MB_NO_MEMORY. */
mb_code finish_call(struct text *call, const char *method, const struct text *parameters, bool more, mb_error *error);

/* One call on the shared connection, which is made anew where it is gone. Frees the text. */
mb_code call(mb_broker *broker, const char *method, struct text *parameters, enum repeat repeat, struct reply *reply, mb_error *error);

/* The same of a method whose replies have no descriptors. */
mb_code plain_call(mb_broker *broker, const char *method, struct text *parameters, enum repeat repeat, struct reply *reply,
                   mb_error *error);
/* Closes descriptors that came with a reply that has none by the contract. */
mb_code no_descriptors(struct reply *reply, const char *method, mb_error *error);

/* A connection whose other end has proved to be a broker that answers. */
mb_code greet(mb_broker *broker, struct connection *connection, int64_t deadline, mb_error *error);

/* A connection of its own, when the broker can be reached until the deadline. */
mb_code dial(mb_broker *broker, int64_t deadline, struct connection *connection, mb_error *error);

/* How long a call whose connection breaks is tried again: for reconnect_ms from the first break on. */
struct patience {
    int64_t give_up_at;
    unsigned breaks;
};

/* After a break. Pauses before the next attempt; false: no more. */
bool may_try_again(mb_broker *broker, struct patience *patience);

/* The pause before an attempt; 0 is the first. */
int64_t backoff_ms(mb_broker *broker, unsigned attempt);
void pause_ms(int64_t ms, int64_t deadline);
