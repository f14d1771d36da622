#include "connection.h"
#include "error.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int64_t deadline_in(int64_t ms)
{
    return ms < 0 ? INT64_MAX : now_ms() + ms;
}

int left_ms(int64_t deadline)
{
    const int64_t day = 86400000, left = deadline - now_ms();
    return left < 0 ? 0 : (int)(left > day ? day : left);
}

void fds_close(struct fds *fds)
{
    for (size_t index = 0; index < fds->count; index++)
        if (fds->at[index] >= 0)
            close(fds->at[index]);
    fds->count = 0;
}

void connection_init(struct connection *connection)
{
    memset(connection, 0, sizeof *connection);
    connection->fd = -1;
}

void connection_close(struct connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    fds_close(&connection->first);
    fds_close(&connection->arrived);
    free(connection->in);
    connection_init(connection);
}

static const char *advice(int system_error)
{
    switch (system_error) {
    case ENOENT: return "there is no such socket. Is membrokerd running? MEMBROKER_SOCKET can name its socket";
    case ECONNREFUSED: return "nobody listens at it: membrokerd is not running, or just being restarted, or this is no socket";
    case EACCES: return "this user may not open it: membrokerd's configuration says which group may";
    case EAGAIN: return "its backlog is full: membrokerd does not accept connections now";
    case ENAMETOOLONG: return "the path is longer than a Unix socket address can hold (107 bytes)";
    default: return strerror(system_error);
    }
}

static mb_code unreachable(mb_error *error, const char *path, int system_error)
{
    fail(error, MB_BROKER_UNREACHABLE, "can't reach the broker at %.200s: %s", path, advice(system_error));
    error->system_error = system_error;
    return error->code;
}

mb_code connection_open(struct connection *connection, const char *path, mb_error *error)
{
    struct sockaddr_un address;
    const size_t length = strlen(path);
    connection_init(connection);
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    if (length >= sizeof address.sun_path)
        return unreachable(error, path, ENAMETOOLONG);
    memcpy(address.sun_path, path, length);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_system(error, MB_BROKER_UNREACHABLE, errno, "socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        const int system_error = errno;
        close(fd);
        return unreachable(error, path, system_error);
    }
    connection->fd = fd;
    return MB_OK;
}

bool connection_hung_up(const struct connection *connection)
{
    struct pollfd one = {.fd = connection->fd, .events = POLLRDHUP};
    return connection->fd < 0 || poll(&one, 1, 0) != 0;
}

bool connection_ended(const struct connection *connection)
{
    struct pollfd one = {.fd = connection->fd, .events = POLLIN | POLLRDHUP};
    return connection->fd < 0 || connection->used > connection->begin || poll(&one, 1, 0) != 0;
}

static mb_code lost(mb_error *error, int system_error)
{
    fail(error, MB_CONNECTION_LOST, "the connection broke%s%s", system_error == 0 ? "" : ": ",
         system_error == 0 ? "" : strerror(system_error));
    error->system_error = system_error;
    return error->code;
}

static mb_code wait_for(struct connection *connection, short events, int64_t deadline, mb_error *error)
{
    struct pollfd one = {.fd = connection->fd, .events = events};
    for (;;) {
        const int count = poll(&one, 1, left_ms(deadline));
        if (count > 0)
            return MB_OK;
        if (count < 0 && errno != EINTR)
            return fail_system(error, MB_CONNECTION_LOST, errno, "poll");
        if (now_ms() >= deadline)
            return fail(error, MB_TIMED_OUT, "the broker did not answer in time");
    }
}

mb_code connection_send(struct connection *connection, const char *message, size_t bytes, int64_t deadline, bool *sent, mb_error *error)
{
    *sent = false;
    for (size_t done = 0; done < bytes;) {
        const ssize_t count = send(connection->fd, message + done, bytes - done, MSG_NOSIGNAL);
        if (count >= 0) {
            *sent = true;
            done += (size_t)count;
        } else if (errno == EAGAIN) {
            const mb_code code = wait_for(connection, POLLOUT, deadline, error);
            if (code != MB_OK)
                return code;
        } else if (errno != EINTR)
            return lost(error, errno);
    }
    return MB_OK;
}

/* Takes over what came; false: more than a message may have, or some were lost. Then all are closed. */
static bool take_fds(struct fds *fds, struct msghdr *header)
{
    bool fits = (header->msg_flags & MSG_CTRUNC) == 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part != NULL; part = CMSG_NXTHDR(header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t index = 0; index < count; index++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + index * sizeof fd, sizeof fd);
            if (fds->count < fds_per_message_max)
                fds->at[fds->count++] = fd;
            else {
                close(fd);
                fits = false;
            }
        }
    }
    if (!fits)
        fds_close(fds);
    return fits;
}

/* Room for a longer message; false: there is none. */
static bool make_room(struct connection *connection)
{
    const size_t held = connection->used - connection->begin;
    if (connection->begin > 0) {
        memmove(connection->in, connection->in + connection->begin, held);
        connection->looked -= connection->begin;
        connection->owner -= connection->begin;
        connection->used = held;
        connection->begin = 0;
    }
    if (connection->used < connection->room)
        return true;
    const size_t most = reply_bytes_max + 1;
    size_t room = connection->room == 0 ? 4096 : connection->room * 2;
    if (room > most)
        room = most;
    char *const more = room > connection->room ? realloc(connection->in, room) : NULL;
    if (more == NULL)
        return false;
    connection->in = more;
    connection->room = room;
    return true;
}

/* One read. Descriptors that come with it belong to the last message that begins in it: WIRE.md, "Descriptors". */
static mb_code receive(struct connection *connection, const char *method, int64_t deadline, mb_error *error)
{
    /* One more than a message may have: whoever sends that many must not go unseen. */
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE((fds_per_message_max + 1) * sizeof(int))];
    } control;
    if (!make_room(connection))
        return connection->used > reply_bytes_max ? violation(error, method, "message longer than 4194304 bytes")
                                                   : fail(error, MB_NO_MEMORY, "no memory for a reply");
    const size_t before = connection->used;
    struct iovec part = {.iov_base = connection->in + before, .iov_len = connection->room - before};
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t count;
    while ((count = recvmsg(connection->fd, &header, MSG_CMSG_CLOEXEC)) < 0) {
        if (errno == EAGAIN) {
            const mb_code code = wait_for(connection, POLLIN, deadline, error);
            if (code != MB_OK)
                return code;
        } else if (errno != EINTR)
            return lost(error, errno);
    }
    const bool fits = take_fds(&connection->arrived, &header);
    if (!fits)
        return violation(error, method, header.msg_flags & MSG_CTRUNC
                                            ? "descriptors were lost: more than 128 came, or the limit of open files is reached"
                                            : "more than 128 descriptors with one message");
    connection->used += (size_t)count;
    if (connection->arrived.count > 0) {
        const char *const bytes = connection->in + before;
        const char *const nul = count > 1 ? memrchr(bytes, 0, (size_t)count - 1) : NULL;
        if (nul == NULL && (before > 0 || count == 0))
            return violation(error, method, "descriptors not sent with the first byte of a message");
        connection->owner = nul == NULL ? before : (size_t)(nul + 1 - connection->in);
    }
    return count == 0 ? lost(error, 0) : MB_OK;
}

static bool known_member(json key)
{
    static const char *const known[] = {"error", "parameters", "continues"};
    for (size_t index = 0; index < sizeof known / sizeof *known; index++)
        if (json_is(key, known[index]))
            return true;
    /* A vendor's has a dot in its name. */
    for (const char *at = key.at + 1; *at != '"'; at++) {
        if (*at == '.')
            return true;
        if (*at == '\\')
            at++;
    }
    return false;
}

/* The message in in[begin..end) as a reply; what is wrong with it otherwise. */
static const char *read_reply(const char *text, size_t length, struct reply *reply)
{
    const char *const problem = json_check(text, length, json_nesting_max);
    if (problem != NULL)
        return problem;
    const json root = json_root(text, length);
    for (json_each each = json_begin(root); json_next(&each);)
        if (!known_member(each.key))
            return "a reply with an unknown member";
    const json continues = json_get(root, "continues");
    reply->error = json_get(root, "error");
    reply->parameters = json_get(root, "parameters");
    reply->continues = false;
    if (reply->error.at != NULL && !json_is_string(reply->error))
        return "a reply whose error is not a name";
    if (reply->parameters.at != NULL && !json_is_object(reply->parameters))
        return "a reply whose parameters are not an object";
    if (continues.at != NULL && !json_boolean(continues, &reply->continues))
        return "a reply whose continues is not a boolean";
    if (reply->error.at != NULL && reply->continues)
        return "an error reply that continues";
    if (reply->error.at != NULL && reply->fds.count > 0)
        return "a reply with descriptors that were not asked for";
    return NULL;
}

mb_code connection_next(struct connection *connection, const char *method, int64_t deadline, struct reply *reply, mb_error *error)
{
    for (;;) {
        char *const from = connection->in + connection->looked;
        char *const nul = connection->used > connection->looked ? memchr(from, 0, connection->used - connection->looked) : NULL;
        if (nul != NULL) {
            const size_t begin = connection->begin, end = (size_t)(nul - connection->in);
            struct fds *const own =
                connection->arrived.count > 0 && connection->owner == begin ? &connection->arrived : &connection->first;
            reply->fds = *own;
            own->count = 0;
            connection->begin = connection->looked = end + 1;
            const char *const problem = read_reply(connection->in + begin, end - begin, reply);
            if (problem == NULL)
                return MB_OK;
            fds_close(&reply->fds);
            return violation(error, method, problem);
        }
        connection->looked = connection->used;
        /* What is left is the beginning of one message, or nothing. */
        if (connection->arrived.count > 0) {
            connection->first = connection->arrived;
            connection->arrived.count = 0;
        }
        const mb_code code = receive(connection, method, deadline, error);
        if (code != MB_OK)
            return code;
    }
}
