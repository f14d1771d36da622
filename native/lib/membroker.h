/**
 * libmembroker: a client of the memory broker membrokerd.
 *
 * The library speaks the protocol of WIRE.md and uses the words of the TypeScript library. It starts no thread, installs no signal
 * handler, keeps no global state, and writes nothing to a standard stream. It never runs code of yours but inside mb_dispatch() and
 * mb_release().
 *
 * Units. Sizes, offsets, lengths and addresses are bytes. Durations are milliseconds. Times are milliseconds since the Unix epoch.
 *
 * Errors. A function that can fail returns an mb_code, MB_OK if it did what it says. If its argument error is not NULL, it has the code, a
 * sentence, and the broker's parameters. Then no out parameter is set, and nothing stays open.
 *
 * Threads. One thread at a time may use an mb_broker and what came from it. Separate mb_brokers are independent, but for claims: see
 * mb_claim(). Memory is yours to use from any thread until the mapping ends.
 *
 * Processes. A claim belongs to the process that called mb_connect(), and ends with it. After a fork() the child must not use the parent's
 * mb_broker, also not close it: every call refuses it with MB_INVALID_ARGUMENT.
 *
 * Options. A structure of options that is all zero has every default, and so has NULL. Members named reserved must be zero.
 */
#ifndef MEMBROKER_H
#define MEMBROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/** The version of this header, as the project's. */
#define MB_VERSION "0.1.0"

/** Where the host's broker listens. */
#define MB_DEFAULT_SOCKET "/run/membroker/broker.sock"

/** What came of a call. The names without MB_ are those of WIRE.md and of the TypeScript library's BrokerError.code. */
typedef enum mb_code {
    MB_OK = 0,

    /* The library's own. */
    MB_TIMED_OUT,          /**< The time was over. What was sent may have been done; the connection was closed. */
    MB_BROKER_UNREACHABLE, /**< No broker answers at the socket. Nothing was sent. */
    MB_CLOSED,             /**< mb_close() was called. */
    MB_CONNECTION_LOST,    /**< The connection broke under the call: the broker did it entirely or not at all. */
    MB_INVALID_ARGUMENT,   /**< A wrong argument, found by the library or the broker. */
    MB_MAPPING_REVOKED,    /**< The mapping is closed or was revoked. */
    MB_MAP_FAILED,         /**< mmap() failed; system_error says why. */
    MB_NO_MEMORY,          /**< malloc() failed. */
    MB_PROTOCOL_VIOLATION, /**< The program at the socket does not speak the protocol, or a part of it that this library does not know. */

    /* The broker's; WIRE.md has the parameters of each. */
    MB_NOT_FOUND = 100,
    MB_NAME_TAKEN,
    MB_NO_SPACE,
    MB_QUOTA_EXCEEDED,
    MB_PERMISSION_DENIED,
    MB_ALREADY_CLAIMED,
    MB_NOT_CLAIMED,
    MB_FROZEN,
    MB_RANGE_READ_ONLY,
    MB_TABLE_FULL,
    MB_LIMIT_EXCEEDED,
    MB_BUSY,
    MB_UPDATE_NOT_READY,
    MB_CONSOLE_OFF,
    MB_CONFIG_INVALID,
    MB_SOURCE_FAILED,

    /* Varlink's. */
    MB_INTERFACE_NOT_FOUND = 200,
    MB_METHOD_NOT_FOUND, /**< The broker is older than this library. */
    MB_INVALID_PARAMETER,
    MB_EXPECTED_MORE,

    MB_UNKNOWN_ERROR = 300 /**< An error that this library does not know; its name is in mb_error.name. */
} mb_code;

/** Why a call failed. Plain memory: nothing to free. */
typedef struct mb_error {
    mb_code code;
    int system_error;      /**< errno of the failed system call; 0: none. */
    char name[64];         /**< "NoSpace": the error's name without its interface. */
    char message[1024];    /**< A sentence for people, UTF-8; it may change between releases. */
    char parameters[8192]; /**< The broker's parameters as a JSON object; "{}": none. */
} mb_error;

/** The name of a code, as "NoSpace". */
const char *mb_code_name(mb_code code);

/** An integer of an error's parameters, as "freeBytes". False: it has none of that name. */
bool mb_error_integer(const mb_error *error, const char *parameter, int64_t *value);

/** A string of an error's parameters, as "reason", cut to bytes with its NUL. False: it has none of that name. */
bool mb_error_string(const mb_error *error, const char *parameter, char *value, size_t bytes);

/* ---- The connection ---- */

/** A connection to the broker, and all that this program holds through it. */
typedef struct mb_broker mb_broker;

/** The right to map part of an allocation: one descriptor. */
typedef struct mb_mapping mb_mapping;

/** Options of mb_connect(). */
typedef struct mb_connect_options {
    /**
     * The path of the broker's socket. Default: $MEMBROKER_SOCKET; or, not as root, the socket of a broker that this user runs
     * ($XDG_RUNTIME_DIR/membroker/broker.sock), where it exists; or MB_DEFAULT_SOCKET.
     */
    const char *socket;
    /** How long a call waits for a broker that is away, and mb_connect() for its first answer. Default: 30000. Negative: it does not wait. */
    int reconnect_ms;
    /** How long a call waits for its reply. Default: 60000. Negative: for ever. mb_release() and mb_revoke() have a time of their own. */
    int call_ms;
    uintptr_t reserved[4];
} mb_connect_options;

/**
 * Connect to the broker, and see that it answers. A broker that is replaced later is found again by itself: claims, mappings and memory
 * go on as they were. A call meanwhile waits; one that was under way is made again where that does no harm, and is MB_CONNECTION_LOST
 * where the program must look first.
 * Errors: MB_BROKER_UNREACHABLE, MB_PROTOCOL_VIOLATION, MB_NO_MEMORY.
 */
mb_code mb_connect(const mb_connect_options *options, mb_broker **broker, mb_error *error);

/**
 * End the connection: unmap the memory, close the descriptors, free everything that came from it. NULL does nothing. The broker keeps
 * allocations and layouts; the claim is this process' until it ends. In a handler it takes effect when the handler returns.
 */
void mb_close(mb_broker *broker);

/** The broker at a glance. */
typedef struct mb_status {
    char version[64];
    char boot_id[64]; /**< Changes with the kernel. */
    int64_t started_at; /**< Changes with the broker. */
    int32_t pid;
    bool frozen; /**< It refuses changes. */
    char frozen_reason[256];
    int64_t ranges, allocations, unclaimed, mappings, clients, clients_max;
} mb_status;

mb_code mb_get_status(mb_broker *broker, mb_status *status, mb_error *error);

/**
 * Any method of the contract that answers at once and returns no descriptor, as "GetRecovery" or "Freeze"; parameters are a JSON object,
 * or NULL. *reply is its parameters as JSON; free() it. For administration; what this header has a function for goes by that.
 */
mb_code mb_call(mb_broker *broker, const char *method, const char *parameters, char **reply, mb_error *error);

/* ---- Allocations ---- */

typedef enum mb_access { MB_READ_WRITE = 0, MB_READ = 1, MB_NO_ACCESS = 2 } mb_access;

/** What is known of an allocation's contents after a kexec. */
typedef enum mb_verdict { MB_UNVERIFIED = 0, MB_INTACT, MB_CHANGED, MB_POISONED } mb_verdict;

/** A piece of a range. */
typedef struct mb_extent {
    uint64_t offset; /**< From the start of the range. */
    uint64_t length;
} mb_extent;

/** The right of another uid to map an allocation. */
typedef struct mb_share_right {
    uint32_t uid;
    mb_access access;
} mb_share_right;

/** A named, owned, persisted piece of memory, as the broker described it. Later releases may add members at the end. */
typedef struct mb_allocation {
    int64_t id;
    const char *name;
    const char *range;
    uint64_t bytes;
    uint64_t align_bytes;
    uint32_t uid;
    int32_t holder_pid;    /**< The living process that allocated or claimed it; 0: none. */
    int32_t successor_pid; /**< See take_over of mb_claim_options; 0: none. */
    bool secret;           /**< The owner's calls need it. */
    mb_verdict verdict;
    int64_t mappings; /**< How many there are. */
    const char *metadata; /**< The owner's JSON object; NULL: none. */
    const mb_extent *extents;
    size_t extent_count;
    const mb_share_right *shares;
    size_t share_count;
} mb_allocation;

/** held: usable; revoking: the broker asked for it back; lost: usable, but the broker does not know it any more; closed; dormant. */
typedef enum mb_mapping_state { MB_HELD = 0, MB_REVOKING, MB_DORMANT, MB_LOST, MB_ENDED } mb_mapping_state;

/** A mapping as the broker described it. Later releases may add members at the end. */
typedef struct mb_mapping_info {
    int64_t id;
    const char *allocation;
    uint64_t offset; /**< From the start of the allocation. */
    uint64_t length;
    mb_access access;
    bool has_guest_address;
    uint64_t guest_address; /**< Where the guest sees it, as given to mb_map(). */
    const char *metadata;   /**< A JSON object; NULL: none. */
    uint32_t uid;
    int32_t pid; /**< The process that holds it; 0: none. */
    mb_mapping_state state;
} mb_mapping_info;

/** What one reply or several had: allocations, and mappings where they were asked for. Free it by mb_list_free(). */
typedef struct mb_list {
    const mb_allocation *const *allocations;
    size_t allocation_count;
    const mb_mapping_info *const *mappings;
    size_t mapping_count;
} mb_list;

void mb_list_free(mb_list *list);

/** Options of mb_allocate(). */
typedef struct mb_allocate_options {
    uint64_t align;       /**< Of the start of each extent, where that is more than the range's own. A power of two. 0: the range's. */
    const char *range;    /**< Name of the range to take it from. NULL: the broker chooses. */
    bool on_node;         /**< Only ranges of NUMA node `node`. */
    uint32_t node;
    bool contiguous;      /**< Demand one single extent. */
    const char *metadata; /**< A JSON object of at most 4096 bytes, for the owner. */
    const char *secret;   /**< The owner's later calls need it. At most 1024 bytes. */
    bool for_owner;       /**< Administrators: for uid `owner`, who then holds it by claiming it. */
    uint32_t owner;
    uintptr_t reserved[4];
} mb_allocate_options;

/**
 * Reserve memory under a name; this process holds it from then on. It reads as zeros. bytes is rounded up to the range's alignment.
 * allocation may be NULL. Otherwise *allocation is a list with the one allocation.
 * Errors: MB_NAME_TAKEN, MB_NO_SPACE, MB_QUOTA_EXCEEDED, MB_TABLE_FULL, MB_FROZEN, MB_PERMISSION_DENIED, MB_CONNECTION_LOST, ...
 */
mb_code mb_allocate(mb_broker *broker, const char *name, uint64_t bytes, const mb_allocate_options *options, mb_list **allocation,
                    mb_error *error);

/** The allocation of that name, and all its mappings, of every process. Errors: MB_NOT_FOUND. */
mb_code mb_get(mb_broker *broker, const char *name, mb_list **list, mb_error *error);

/**
 * Where a process of the owner's uid opens the memory as a file, as long as the allocation exists; for its owner and administrators. free()
 * *path. NULL: nowhere (the configuration does not give the owner open_by_path, or the range is of another source than directory).
 */
mb_code mb_path(mb_broker *broker, const char *name, char **path, mb_error *error);

/** The allocations that this process may see, in order of id; prefix NULL: all. */
mb_code mb_list_allocations(mb_broker *broker, const char *prefix, mb_list **list, mb_error *error);

/**
 * Make it larger: bytes is its new size. Contents and mappings do not change. allocation may be NULL, here and in the next functions.
 * Errors: MB_NO_SPACE, MB_QUOTA_EXCEEDED, MB_BUSY, ...
 */
mb_code mb_grow(mb_broker *broker, const char *name, uint64_t bytes, const char *secret, mb_list **allocation, mb_error *error);

/**
 * Make it smaller: bytes is its new size. Its end goes back to the range once nobody reaches it.
 * Errors: MB_BUSY (a mapping reaches beyond bytes), MB_INVALID_ARGUMENT, MB_SOURCE_FAILED (somebody has it open), ...
 */
mb_code mb_shrink(mb_broker *broker, const char *name, uint64_t bytes, const char *secret, mb_list **allocation, mb_error *error);

/** A piece of an allocation, in bytes from its start. */
typedef struct mb_piece {
    uint64_t offset, length;
} mb_piece;

/**
 * Give the pages of pieces back to the host: they read as zeros, and the next touch takes new pages, or fails with SIGBUS where the
 * host has none. Offsets and lengths are multiples of the range's page size; pieces do not overlap; at most 1024. The size, and what is
 * charged for it, stay. After a failure do not use the pieces before a discard of them has succeeded. resident_bytes may be NULL: it
 * gets what the allocation has from the host afterwards. Errors: MB_NOT_CLAIMED, MB_INVALID_ARGUMENT, MB_SOURCE_FAILED, ...
 */
mb_code mb_discard(mb_broker *broker, const char *name, const mb_piece *pieces, size_t count, const char *secret,
                   uint64_t *resident_bytes, mb_error *error);

/** Replace the owner's metadata, a JSON object; NULL removes it. */
mb_code mb_set_metadata(mb_broker *broker, const char *name, const char *metadata, const char *secret, mb_list **allocation,
                        mb_error *error);

/** Let another uid map it. MB_NO_ACCESS ends the right; the uid's mappings stay until they are revoked. */
mb_code mb_share(mb_broker *broker, const char *name, uint32_t uid, mb_access access, const char *secret, mb_list **allocation,
                 mb_error *error);

/**
 * Give it, while nobody has it open, to another uid, with its layouts and its quota; its secret stays. For administrators.
 * Errors: MB_ALREADY_CLAIMED, MB_BUSY, MB_QUOTA_EXCEEDED, MB_PERMISSION_DENIED, ...
 */
mb_code mb_give(mb_broker *broker, const char *name, uint32_t uid, mb_list **allocation, mb_error *error);

/** How an end came out. quarantined: there is no proof yet that the last holder has let go; the broker does not reuse the memory before. */
typedef enum mb_outcome { MB_ENDED_WITH_PROOF = 0, MB_QUARANTINED = 1, MB_ALREADY_GONE = 2 } mb_outcome;

/** Options of mb_release() and mb_revoke(). */
typedef struct mb_end_options {
    bool has_grace; /**< grace_ms counts. Otherwise: the broker's grace. */
    int64_t grace_ms; /**< How long holders have to let go before the broker follows on_deadline. */
    const char *secret;
    int timeout_ms; /**< How long the call waits for the end. Default: as long as it takes. The broker finishes what has begun. */
    uintptr_t reserved[4];
} mb_end_options;

/**
 * End an allocation: the broker revokes its mappings, scrubs the memory and frees it. Mappings of this broker object end by their handlers
 * meanwhile, as in mb_dispatch(). Not for handlers. outcome may be NULL.
 */
mb_code mb_release(mb_broker *broker, const char *name, const mb_end_options *options, mb_outcome *outcome, mb_error *error);

/** End a mapping of any process, by its number, as the allocation's owner or an administrator. One of this object ends as by mb_mapping_close(). */
mb_code mb_revoke(mb_broker *broker, int64_t mapping, const mb_end_options *options, mb_outcome *outcome, mb_error *error);

/* ---- Mappings ---- */

/** Options of mb_map(). */
typedef struct mb_map_options {
    uint64_t offset;        /**< From the start of the allocation; a multiple of the range's page size. */
    uint64_t length;        /**< 0: to the end of the allocation. */
    mb_access access;       /**< Default: MB_READ_WRITE. */
    bool has_guest_address; /**< guest_address counts. */
    uint64_t guest_address; /**< Where the guest sees it; kept for mb_rebuild(). */
    const char *metadata;   /**< A JSON object; kept for mb_rebuild(). */
    const char *secret;
    uintptr_t reserved[4];
} mb_map_options;

/**
 * The right to map part of an allocation that this process holds, or that is shared with its uid. Nothing is mapped yet.
 * The mapping belongs to the broker object; end it by mb_mapping_close(). Errors: MB_NOT_CLAIMED, MB_PERMISSION_DENIED, MB_QUOTA_EXCEEDED,
 * MB_LIMIT_EXCEEDED, MB_SOURCE_FAILED, MB_FROZEN, ...
 */
mb_code mb_map(mb_broker *broker, const char *name, const mb_map_options *options, mb_mapping **mapping, mb_error *error);

/** Valid until mb_mapping_close(). */
const mb_mapping_info *mb_mapping_get_info(const mb_mapping *mapping);

mb_mapping_state mb_mapping_get_state(const mb_mapping *mapping);

/**
 * The descriptor, for KVM, VFIO, a child process; -1: the mapping has ended. It stays the mapping's: duplicate it to keep it longer.
 * Every duplicate must be gone before a revoke can be proved. It is close-on-exec.
 */
int mb_mapping_fd(const mb_mapping *mapping);

/** Where the mapping begins in the descriptor, for mmap(). */
uint64_t mb_mapping_mmap_offset(const mb_mapping *mapping);

/**
 * Its whole memory in this process, mapped at the first call (MAP_SHARED). It is unmapped when the mapping ends.
 * Errors: MB_MAPPING_REVOKED, MB_MAP_FAILED.
 */
mb_code mb_mapping_memory(mb_mapping *mapping, void **memory, mb_error *error);

/**
 * Give the mapping up for good and free it: unmap, close, and make the broker forget the layout. What is local is gone at once, whatever
 * the broker answers. After a revoke it only frees the object. NULL does nothing. outcome may be NULL.
 */
mb_code mb_mapping_close(mb_mapping *mapping, mb_outcome *outcome, mb_error *error);

/** The guest's physical memory as one stretch of this process' addresses. */
typedef struct mb_guest {
    uint8_t *memory;        /**< Where guest address `guest_address` is. Holes between mappings fault (SIGSEGV). */
    uint64_t guest_address; /**< The lowest of the mappings'. */
    uint64_t length;
} mb_guest;

/**
 * Map mappings that have guest addresses into one stretch, each at its own place, so that guest address A is at
 * guest->memory + (A - guest->guest_address). A mapping that ends leaves a hole. They must not overlap, and must not be mapped yet.
 * Errors: MB_INVALID_ARGUMENT, MB_MAPPING_REVOKED, MB_MAP_FAILED.
 */
mb_code mb_guest_map(mb_mapping *const *mappings, size_t count, mb_guest *guest, mb_error *error);

/** Unmap all of it. The mappings that have not ended stay, not mapped. */
void mb_guest_unmap(mb_broker *broker, mb_guest *guest);

/* ---- Claims ---- */

/** Options of mb_claim() and mb_rebuild(). */
typedef struct mb_claim_options {
    const char *secret; /**< The one given to mb_allocate(). */
    bool take_over;     /**< Where another living process of this owner holds it, join that process as its successor. */
    uintptr_t reserved[4];
} mb_claim_options;

/** An allocation taken up, with every mapping of this owner's that waited for it. */
typedef struct mb_claimed {
    const mb_allocation *allocation;
    mb_mapping *const *mappings; /**< They belong to the broker object, as those of mb_map(). */
    size_t mapping_count;
    bool joined; /**< This process is the holder's successor: see mb_complete_hand_over(). */
} mb_claimed;

typedef enum mb_obstacle { MB_IS_HELD = 0, MB_IS_REFUSED, MB_IS_UNAVAILABLE } mb_obstacle;

/** An allocation that the broker did not let this process claim. */
typedef struct mb_not_claimed {
    const char *name;
    mb_obstacle obstacle; /**< Another living process holds it; not with this secret; its range can't serve it. */
    const char *detail;   /**< A sentence, or NULL. */
} mb_not_claimed;

typedef struct mb_rebuilt {
    const mb_claimed *claimed;
    size_t claimed_count;
    const mb_not_claimed *not_claimed;
    size_t not_claimed_count;
} mb_rebuilt;

/** Frees the lists, not the mappings. */
void mb_rebuilt_free(mb_rebuilt *rebuilt);

/**
 * Take up one of this owner's allocations, after this process, the broker or the kernel was replaced. Its dormant mappings come back as
 * they were, with descriptors; those that this mb_broker has already are not among them. For a uid that the allocation is shared with: its
 * own dormant mappings come back, and the holder stays who it is; if it has none, the claim is refused. Where a reply is lost on the way,
 * only the owner gets its mappings nevertheless: a sharer maps again.
 *
 * Claims are the process'. To make up for a lost reply the library ends mappings of this process that it does not know. So an mb_broker
 * must not claim what another one of the process has made or claimed since this one first made or claimed something.
 *
 * *rebuilt has the one. Errors: MB_NOT_FOUND, MB_ALREADY_CLAIMED, MB_PERMISSION_DENIED, MB_BUSY, MB_FROZEN, ...
 */
mb_code mb_claim(mb_broker *broker, const char *name, const mb_claim_options *options, mb_rebuilt **rebuilt, mb_error *error);

/** The same for all of this owner's allocations whose names begin with prefix (NULL: all). One that can't be claimed does not stop the others. */
mb_code mb_rebuild(mb_broker *broker, const char *prefix, const mb_claim_options *options, mb_rebuilt **rebuilt, mb_error *error);

/** Take the place of the holder that this process has joined. The former holder's mappings end like any others. */
mb_code mb_complete_hand_over(mb_broker *broker, const char *name, mb_error *error);

/* ---- Notices ---- */

/**
 * A descriptor that is readable when mb_dispatch() has something to do: for poll(), epoll, or the event loop that the program has. It
 * stays the same until mb_close(). Only wait for it; it stays the library's.
 */
int mb_fd(const mb_broker *broker);

/**
 * Do what is due: read notices, call handlers, answer the broker, reconnect. Waits up to timeout_ms for something to do: 0 does not wait,
 * negative is for ever. A program that holds mappings calls it whenever mb_fd() is readable: otherwise the broker waits in vain when it
 * wants memory back, and follows its on_deadline. MB_OK also when nothing was to do.
 */
mb_code mb_dispatch(mb_broker *broker, int timeout_ms, mb_error *error);

/** Why a mapping is to end. */
typedef struct mb_revoke_notice {
    int64_t deadline;   /**< When the broker stops asking: time of day. */
    int64_t left_ms;    /**< The time until then, by the monotonic clock, now. */
    const char *detail; /**< The reason, or NULL. */
} mb_revoke_notice;

typedef enum mb_reply { MB_DONE = 0, MB_LATER = 1 } mb_reply;

/**
 * Called by mb_dispatch() when the broker wants the mapping back. End everything that the program made from the descriptor: KVM slots, DMA
 * mappings, duplicates, children's copies. MB_DONE: the library unmaps, closes, and tells the broker; the object stays, as MB_ENDED, until
 * mb_mapping_close(). MB_LATER: the program calls mb_mapping_close() itself, before the deadline. It may also do so in the handler.
 */
typedef mb_reply (*mb_revoke_handler)(void *context, mb_mapping *mapping, const mb_revoke_notice *notice);

/** A mapping without a handler ends as if one had said MB_DONE. NULL takes the handler away. */
void mb_mapping_on_revoke(mb_mapping *mapping, mb_revoke_handler handler, void *context);

/** Called by mb_dispatch(); each may be NULL. */
typedef struct mb_handlers {
    /** The broker is away; calls wait for it. Noticed once this object has made a mapping or a claim. */
    void (*disconnected)(void *context, const mb_error *error);
    /** It is back, the same or its successor. */
    void (*reconnected)(void *context);
    /** The broker does not know the mapping any more. Its descriptor still reaches the old memory, but nobody else will map the same. */
    void (*mapping_lost)(void *context, mb_mapping *mapping);
    /** The broker refused something that the library told it by itself. */
    void (*warning)(void *context, const mb_error *error);
    void *context;
    uintptr_t reserved[4];
} mb_handlers;

void mb_set_handlers(mb_broker *broker, const mb_handlers *handlers);

/** A change; WIRE.md, "Events", lists the kinds. Strings are NULL where the event has none; numbers need their flag. */
typedef struct mb_event {
    int64_t sequence, time;
    const char *kind;
    const char *allocation, *range, *detail;
    bool has_mapping, has_uid, has_pid, has_offset, has_bytes, has_guest_address, has_deadline, has_access;
    int64_t mapping, deadline;
    uint32_t uid;
    int32_t pid;
    uint64_t offset, bytes, guest_address;
    mb_access access;
} mb_event;

/** One of: a snapshot, with the whole state; an event; the number of events that this watcher was too slow for. Valid in the handler. */
typedef struct mb_watch_item {
    const mb_list *snapshot;
    bool again; /**< The snapshot follows a broken connection: changes before it may be unseen. */
    const mb_event *event;
    int64_t missed;
} mb_watch_item;

typedef void (*mb_watch_handler)(void *context, const mb_watch_item *item);

typedef struct mb_watch mb_watch;

/**
 * First the state, then each change as it happens, by mb_dispatch(); again from the state after a broken connection. mine: only changes
 * that concern this process. A refusal (MB_LIMIT_EXCEEDED) ends it, and goes to the handler warning.
 */
mb_code mb_watch_begin(mb_broker *broker, bool mine, mb_watch_handler handler, void *context, mb_watch **watch, mb_error *error);

/** NULL does nothing. */
void mb_watch_end(mb_watch *watch);

/* ---- Updates of the host ---- */

/** What a participant is asked to prepare for. */
typedef struct mb_update {
    int64_t id;
    const char *reason;
    int64_t deadline_ms; /**< How long the update waits, from now. */
} mb_update;

typedef struct mb_participation mb_participation;

typedef struct mb_participant {
    /** For people: who is ready, who is late. At most 255 bytes of UTF-8. */
    const char *name;
    /** Pause and save, then mb_participation_answer(), in the handler or later. Called once for each update. */
    void (*prepare)(void *context, mb_participation *participation, const mb_update *update);
    /** Go on: the update is called off. Only where prepare was called, also if there is no answer yet. May be NULL. */
    void (*cancelled)(void *context, mb_participation *participation, int64_t update, const char *reason);
    void *context;
    uintptr_t reserved[4];
} mb_participant;

/**
 * Take part in live updates of the host: they wait for this process, also over restarts of the broker. mb_dispatch() calls the handlers.
 * Returns when the broker knows of it. Errors: MB_INVALID_ARGUMENT, MB_LIMIT_EXCEEDED.
 */
mb_code mb_participate(mb_broker *broker, const mb_participant *participant, mb_participation **participation, mb_error *error);

/** MB_STAYS_PAUSED: it failed, and can't go on by itself when the update is called off; whoever leads the update names it. */
typedef enum mb_answer { MB_FAILED = 0, MB_READY = 1, MB_STAYS_PAUSED = 2 } mb_answer;

/**
 * Answer prepare; detail: why it failed, or NULL. A later answer replaces it: answer MB_FAILED if what was saved is lost.
 * Errors: MB_INVALID_ARGUMENT: it was not asked, or the update is over.
 */
mb_code mb_participation_answer(mb_participation *participation, int64_t update, mb_answer answer, const char *detail, mb_error *error);

/** Stop taking part. NULL does nothing. */
void mb_participation_end(mb_participation *participation);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
