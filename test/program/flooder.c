/*
 * Many connections of one process to the broker, none of them polite. Tests start it through attacker.ts.
 *
 *   flooder SOCKET COUNT idle          connect, and do nothing
 *   flooder SOCKET COUNT call CALL...  send these calls over and over, as fast as their replies come
 *   flooder SOCKET COUNT deaf CALL...  send them once, and read nothing
 *   flooder SOCKET COUNT drop CALL...  send them as often as the socket takes them, hang up, and again
 *
 * CALL: a message without its NUL; @N stands for a GetStatus of N bytes that is as costly to parse as can be. What the broker
 * ends, also by its own end, is connected again. Standard output: "ready" when each has been tried once. It ends with its
 * standard input.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { count_max = 8192, events_max = 256, again_ms = 50, buffer_bytes = 65536 };

enum way { idle, call, deaf, drop };

struct connection {
    int fd;
    long long again_at;
    /* Bytes of the calls that are sent by now. */
    size_t sent;
};

static const char *socket_path;
static enum way way;
static const char *message;
static size_t message_bytes;
static int count;
static struct connection connections[count_max];
static int epoll;

static long long now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

static void later(struct connection *one) {
    if (one->fd >= 0) close(one->fd);
    one->fd = -1;
    one->again_at = now_ms() + again_ms;
}

/* Stops when the socket is full, and is called again when it is not. */
static void send_calls(struct connection *one) {
    while (one->sent < message_bytes) {
        const ssize_t sent =
            send(one->fd, message + one->sent, message_bytes - one->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN && way != drop) return;
        if (sent < 0) return later(one);
        one->sent += sent;
        if (way != deaf) one->sent %= message_bytes;
    }
}

/* Descriptors that come with replies are closed by the kernel, as no room is given for them. */
static void take_replies(struct connection *one) {
    static char bytes[buffer_bytes];
    ssize_t got;
    while ((got = recv(one->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) continue;
    if (got == 0 || errno != EAGAIN) later(one);
}

static void open_connection(struct connection *one, uint32_t number) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, socket_path, sizeof address.sun_path - 1);
    one->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    one->sent = 0;
    if (one->fd < 0 || connect(one->fd, (struct sockaddr *)&address, sizeof address) != 0) return later(one);
    /* Edge-triggered: a deaf one hears of its end, and of nothing that it does not read. */
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLOUT | EPOLLET, .data.u32 = number};
    if (way == idle || way == call) event.events |= EPOLLIN;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, one->fd, &event) != 0) return later(one);
    send_calls(one);
}

static void open_due(void) {
    const long long now = now_ms();
    for (int number = 0; number < count; number++)
        if (connections[number].fd < 0 && connections[number].again_at <= now)
            open_connection(&connections[number], number);
}

static void handle(struct connection *one, uint32_t events) {
    if (one->fd < 0) return;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) return later(one);
    if (events & EPOLLIN) take_replies(one);
    if (one->fd >= 0) send_calls(one);
}

static bool stdin_ended(void) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

/* Appends a call with its NUL; returns where the next begins. */
static char *append(char *at, const char *call) {
    if (call[0] != '@') return stpcpy(at, call) + 1;
    const char *const end = at + atol(call + 1);
    at = stpcpy(at, "{\"method\":\"io.membroker.Broker.GetStatus\",\"parameters\":{\"a\":[0");
    while (at + 8 < end) at = stpcpy(at, ",[]");
    return stpcpy(at, "]}}") + 1;
}

static void set_message(char **calls) {
    size_t room = 0;
    for (char **one = calls; *one != NULL; one++) room += strlen(*one) + 128 + (**one == '@' ? atol(*one + 1) : 0);
    char *const bytes = malloc(room + 1), *end = bytes;
    for (; *calls != NULL; calls++) end = append(end, *calls);
    message = bytes;
    message_bytes = end - bytes;
}

static bool set_way(const char *name) {
    static const char *const names[] = {"idle", "call", "deaf", "drop"};
    for (way = idle; way <= drop; way++)
        if (strcmp(name, names[way]) == 0) return true;
    return false;
}

int main(int words, char **word) {
    count = words > 3 ? atoi(word[2]) : 0;
    if (count < 1 || count > count_max || !set_way(word[3]) || (way == idle) != (words == 4)) {
        fputs("flooder: its words are explained at the top of flooder.c\n", stderr);
        return 2;
    }
    socket_path = word[1];
    set_message(word + 4);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int number = 0; number < count; number++) connections[number].fd = -1;
    open_due();
    puts("ready");
    fflush(stdout);
    while (!stdin_ended()) {
        struct epoll_event events[events_max];
        const int got = epoll_wait(epoll, events, events_max, 10);
        for (int index = 0; index < got; index++)
            handle(&connections[events[index].data.u32], events[index].events);
        open_due();
    }
    return 0;
}
