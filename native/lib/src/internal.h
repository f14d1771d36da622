/* What the parts of the library share. */
#ifndef MB_INTERNAL_H
#define MB_INTERNAL_H

#include "../membroker.h"
#include "connection.h"
#include "text.h"

#include <sys/types.h>

/* Memory that ends together: the parts of one result. */
struct arena {
    struct arena *next;
};
void *arena_take(struct arena **arena, size_t count, size_t bytes); /* zeros; NULL: none */
void arena_free(struct arena *arena);
/* An array with room for one more; NULL: no memory, and the array is as it was. */
void *with_room(void *array, size_t count, size_t *room, size_t item);

struct mb_mapping {
    mb_mapping *next;
    mb_broker *broker;
    const mb_mapping_info *info;
    struct arena *arena; /* of the info */
    int fd;              /* -1: ended */
    uint64_t mmap_offset;
    void *memory;  /* NULL: not mapped */
    bool in_guest; /* memory is a part of a guest's stretch: its place stays when the mapping ends */
    mb_mapping_state state;
    bool judged; /* it was there when the Watch began whose snapshot is being read */
    bool known;  /* that snapshot has it */
    bool announced; /* its handler has been called, or the one for lost mappings */
    int64_t deadline, deadline_ms; /* of a revocation: time of day, and by the monotonic clock */
    char *detail;
    mb_revoke_handler handler;
    void *context;
};

/*
 * A connection that the library keeps up by itself, and reads when mb_dispatch() is called: the notices, a watch, a participation, and the
 * calls that nobody waits for. Its owner embeds it as the first member.
 */
struct stream {
    struct stream *next;
    mb_broker *broker;
    struct connection connection;
    bool ended; /* by its user; freed when no handler runs */
    bool idle;  /* it needs no connection now */
    int64_t retry_at; /* where there is no connection */
    unsigned failures;
    const char *method; /* of its last call */
    mb_error error;     /* MB_OK: its last connection has not failed */
    /* Sends the first call, by stream_send(). */
    mb_code (*begin)(struct stream *stream, mb_error *error);
    /* A reply without error. False: begin anew. Its descriptors are closed afterwards. */
    bool (*receive)(struct stream *stream, const struct reply *reply);
    /* A refusal by the broker. False: try again later, on a new connection. */
    bool (*refused)(struct stream *stream, const mb_error *error);
    void (*lost)(struct stream *stream); /* the connection is gone; may be NULL */
    void (*release)(struct stream *stream);
};

/* A revokeRequested for a mapping whose making was not answered when it came. */
struct request {
    int64_t mapping, deadline, deadline_ms;
};

/* Calls that nobody waits for: answers to the broker. A freeze holds up the first, and must not hold up the second. */
enum errand_kind { errand_revoke, errand_answer, errand_kinds };
struct errands;

struct mb_broker {
    char *path;
    pid_t pid;
    int reconnect_ms, greet_ms, call_ms;
    struct connection main; /* for calls that are answered at once */
    uint64_t random;
    int epoll, timer;
    mb_handlers handlers;
    mb_mapping *mappings;
    struct stream *streams;
    struct stream *notices; /* Watch(mine); NULL: not begun */
    bool ready;             /* the notices have had their first snapshot */
    bool is_up, was_up;     /* as the notices show it, as the handlers were told */
    bool told_down;         /* the handler disconnected has been called */
    bool claim_cut_off;     /* this process may hold mappings whose descriptors never arrived */
    struct request *early;
    size_t early_count, early_room;
    struct errands *errands[errand_kinds];
    int depth; /* of handlers that run */
    bool releasing; /* mb_release() dispatches: mb_close() is for afterwards */
    bool closing;
};

/* Guards of every function of the header. */
mb_code check_broker(const mb_broker *broker, mb_error *error);
mb_code check_reserved(const uintptr_t reserved[4], mb_error *error);

/* ---- calls: link.c ---- */

enum repeat { repeat_never, repeat_harmless };

/* `{"method":...,"parameters":{` and what follows the parameters, around what text has. MB_INVALID_ARGUMENT, MB_NO_MEMORY. */
mb_code finish_call(struct text *call, const char *method, const struct text *parameters, bool more, mb_error *error);

/* One call on the shared connection, which is made anew where it is gone. Frees the text. */
mb_code call(mb_broker *broker, const char *method, struct text *parameters, enum repeat repeat, struct reply *reply, mb_error *error);

/* A connection of its own, when the broker can be reached until the deadline. */
mb_code dial(mb_broker *broker, int64_t deadline, struct connection *connection, mb_error *error);

/* The error of a reply, where it has one. */
mb_code error_of(const struct reply *reply, mb_error *error);

/* The pause before an attempt; 0 is the first. */
int64_t backoff_ms(mb_broker *broker, unsigned attempt);
void pause_ms(int64_t ms, int64_t deadline);

/* ---- decoding: info.c ---- */

/* NULL: not as the contract says, or no memory. */
const mb_allocation *read_allocation(json value, struct arena **arena);
const mb_mapping_info *read_mapping(json value, struct arena **arena);
char *read_text(json value, struct arena **arena);  /* NULL also where it is absent */
const char *raw_text(json value, struct arena **arena); /* an object's JSON */
struct list_builder {
    struct arena *arena;
    const mb_allocation **allocations;
    const mb_mapping_info **mappings;
    size_t allocation_count, mapping_count, allocation_room, mapping_room;
    bool no_memory;
};
/* False: not as the contract says. Absent values add nothing. */
bool list_add(struct list_builder *builder, json allocations, json mappings);
bool list_add_allocation(struct list_builder *builder, json allocation);
void list_discard(struct list_builder *builder);
/* NULL: no memory; the builder is empty then as well. */
mb_list *list_finish(struct list_builder *builder);

/* ---- mappings: mapping.c ---- */

/* Takes the grant's descriptor out of the reply's (it becomes -1 there). NULL: error is set. */
mb_mapping *adopt_grant(mb_broker *broker, const char *method, json grant, struct fds *fds, mb_error *error);
/* Whether each descriptor has its grant, and each grant its own; otherwise what is wrong. */
const char *check_grants(json grant, json grants, const struct fds *fds);
void close_left(struct fds *fds);
/* What is local ends; the state is MB_ENDED. */
void mapping_drop(mb_mapping *mapping);
void mapping_free(mb_mapping *mapping);
mb_mapping *mapping_of(mb_broker *broker, int64_t id);
mb_code create_mapping(mb_broker *broker, const char *name, const mb_map_options *options, mb_mapping **mapping, mb_error *error);

/* RevokeMapping or Release to its end, on a connection of its own. */
mb_code end_call(mb_broker *broker, const char *method, struct text *parameters, int64_t deadline, bool repeatable, bool dispatching,
                 mb_outcome *outcome, mb_error *error);

/* ---- notices.c ---- */

/* Before the first descriptor: the broker can reach this process. */
mb_code prepare_notices(mb_broker *broker, mb_error *error);
/* A mapping that was made, perhaps one that the broker has already asked for. */
void note_early(mb_broker *broker, mb_mapping *mapping);
/* Whether a handler is to be called. */
bool is_due(const mb_broker *broker);
/* Calls the handlers of mappings, and those for the connection. */
void announce(mb_broker *broker);

/* ---- errands.c ---- */

/* Tell the broker without waiting, again while it is away or refuses for now. Frees the text. */
mb_code run_errand(mb_broker *broker, enum errand_kind kind, struct text *parameters, mb_error *error);

/* ---- dispatch.c ---- */

void stream_add(mb_broker *broker, struct stream *stream);
void stream_end(struct stream *stream);
mb_code stream_send(struct stream *stream, const char *method, const struct text *parameters, bool more, mb_error *error);
/* Its connection is closed, and made again: at once, or after a pause that grows. */
void stream_restart(struct stream *stream, bool soon);
/* Until it is as the caller needs it: *good, or a failure that does not pass. */
mb_code stream_wait(struct stream *stream, const bool *good, mb_error *error);
/* Wake mb_dispatch() when something is due that no socket says. */
void arm(mb_broker *broker);
void warn(mb_broker *broker, const mb_error *error);
void broker_free(mb_broker *broker);
void free_ended(mb_broker *broker);

#endif
