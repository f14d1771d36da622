/* What a connection to the broker consists of. */
#pragma once

#include "../membroker.h"
#include "connection.h"
#include "memory.h"

#include <sys/types.h>

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

/* A revokeRequested for a mapping whose making was not answered when it came. */
struct request {
    int64_t mapping, deadline, deadline_ms;
};

/* Calls that nobody waits for: answers to the broker. A freeze holds up the first, and must not hold up the second. */
enum errand_kind { errand_revoke, errand_answer, errand_kinds };

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
    int64_t *others; /* mappings that the process had before this object made or claimed any: another object's */
    size_t others_count, others_room;
    bool knows_others;
    struct errands *errands[errand_kinds];
    int depth; /* of handlers that run */
    bool releasing; /* mb_release() dispatches: mb_close() is for afterwards */
    bool closing;
};
