// A service manager as far as a service sees one: a notify socket, an fd store, a listening socket that is passed on,
// and a real exec. It judges nothing; it prints what it is told, one line each, and does what it reads, one line each.
//
//   manager NOTIFY-PATH LISTEN-PATH NAME=VALUE... -- COMMAND...     (LISTEN-PATH '-': no socket)
//
//   start            fork and exec the command with what is in the store     -> "started PID"
//   signal NUMBER    to the service                                          -> later "exited STATUS" or "killed SIGNAL"
//   kill TEXT        the service as soon as it says this, once                -> later "killed 9"
//   stash NAME       an empty memfd, sealed as brokers do, into the store    -> "stashed NAME"
//   plain NAME       the same, not sealed                                    -> "stashed NAME"
//   nameless         all memfds become copies that are called nothing, as after a kexec, with another mode -> "nameless"
//   rename OLD NEW   of what is in the store                                 -> "renamed NEW"
//   drop NAME        out of the store                                        -> "dropped NAME"
//   store            -> "store NAME NAME ..."
//   quiet            of datagrams only those that say READY=1 are printed from now on -> "quiet"
//
//   each datagram    -> "notify N TEXT", with N descriptors, and '|' for line breaks; what is from nobody we started is
//                       "stranger ..."
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kStoreMax = 4096, kNameMax = 256, kFirstFd = 3, kFdsMax = 253 };

static struct {
  int fd;
  char name[kNameMax];
} store[kStoreMax];
static int stored;
static int listener = -1;
static pid_t service;
static char deadly[256];
static int quiet;

static void die(const char* what) {
  perror(what);
  exit(1);
}

static struct sockaddr_un address(const char* path) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof(un.sun_path)) die("path");
  strcpy(un.sun_path, path);
  return un;
}

static int bound(const char* path, int type) {
  const struct sockaddr_un un = address(path);
  const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (const struct sockaddr*)&un, sizeof(un)) < 0) die(path);
  return fd;
}

static void put(const char* name, int fd) {
  if (stored == kStoreMax) die("store");
  store[stored].fd = fd;
  snprintf(store[stored++].name, kNameMax, "%s", name);
}

static void removeNamed(const char* name) {
  for (int i = stored - 1; i >= 0; i--) {
    if (strcmp(store[i].name, name) != 0) continue;
    close(store[i].fd);
    // An entry is large, and a store may have thousands.
    if (i != --stored) store[i] = store[stored];
  }
}

static void putNew(const char* name, const char* own, off_t size, int sealed) {
  const int fd = memfd_create(own, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0 || ftruncate(fd, size) < 0) die("memfd_create");
  if (sealed && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) < 0) die("F_ADD_SEALS");
  put(name, fd);
}

static void forgetNames(void) {
  const int before = stored;
  for (int i = 0; i < before; i++) {
    const int from = store[i].fd;
    struct stat file;
    if (fstat(from, &file) < 0) die("fstat");
    putNew(store[i].name, "", file.st_size, 1);
    store[i].fd = store[--stored].fd;
    char bytes[65536];
    off_t at = 0;
    for (ssize_t count; (count = pread(from, bytes, sizeof(bytes), at)) > 0; at += count)
      if (pwrite(store[i].fd, bytes, count, at) != count) die("pwrite");
    close(from);
  }
}

static void start(char** variables, char** command) {
  fflush(stdout);
  service = fork();
  if (service < 0) die("fork");
  if (service > 0) {
    printf("started %d\n", service);
    return;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  // High first, so that no number is taken away before it is copied.
  int high[kStoreMax + 1], count = 0;
  static char names[kStoreMax * kNameMax];
  if (listener >= 0) {
    high[count++] = fcntl(listener, F_DUPFD_CLOEXEC, 500);
    strcat(names, "broker");
  }
  for (int i = 0; i < stored; i++) {
    high[count++] = fcntl(store[i].fd, F_DUPFD_CLOEXEC, 500);
    if (names[0]) strcat(names, ":");
    strcat(names, store[i].name);
  }
  for (int i = 0; i < count; i++) dup2(high[i], kFirstFd + i);
  char number[16];
  if (count > 0) {
    snprintf(number, sizeof(number), "%d", getpid());
    setenv("LISTEN_PID", number, 1);
    snprintf(number, sizeof(number), "%d", count);
    setenv("LISTEN_FDS", number, 1);
    setenv("LISTEN_FDNAMES", names, 1);
  }
  for (; *variables != command[-1]; variables++) putenv(*variables);
  execvp(command[0], command);
  die(command[0]);
}

static void heed(int notify) {
  char text[4096], control[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(kFdsMax * sizeof(int))];
  struct iovec iov = {text, sizeof(text) - 1};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  const ssize_t bytes = recvmsg(notify, &message, MSG_CMSG_CLOEXEC);
  if (bytes < 0) die("recvmsg");
  text[bytes] = 0;
  pid_t from = 0;
  int fds[kFdsMax], count = 0;
  for (struct cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_type == SCM_CREDENTIALS) from = ((struct ucred*)CMSG_DATA(header))->pid;
    if (header->cmsg_type != SCM_RIGHTS) continue;
    count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(header), count * sizeof(int));
  }
  const char* name = strstr(text, "FDNAME=");
  char fdName[kNameMax] = "stored";
  if (name) snprintf(fdName, sizeof(fdName), "%.*s", (int)strcspn(name + 7, "\n"), name + 7);
  if (deadly[0] && strstr(text, deadly)) {
    kill(service, SIGKILL);
    deadly[0] = 0;
  }
  const int keep = strstr(text, "FDSTORE=1") != NULL;
  if (strstr(text, "FDSTOREREMOVE=1")) removeNamed(fdName);
  for (int i = 0; i < count; i++) {
    if (keep) put(fdName, fds[i]);
    else close(fds[i]);
  }
  if (quiet && strncmp(text, "READY=1", 7) != 0) return;
  for (char* at = text; *at; at++)
    if (*at == '\n') *at = '|';
  printf("%s %d %s\n", from == service ? "notify" : "stranger", count, text);
}

static void obey(char* line, char** variables, char** command) {
  line[strcspn(line, "\n")] = 0;
  const char* argument = strchr(line, ' ') ? strchr(line, ' ') + 1 : "";
  if (strcmp(line, "start") == 0) {
    start(variables, command);
  } else if (strncmp(line, "signal ", 7) == 0) {
    kill(service, atoi(argument));
  } else if (strncmp(line, "kill ", 5) == 0) {
    snprintf(deadly, sizeof(deadly), "%s", argument);
  } else if (strncmp(line, "stash ", 6) == 0) {
    putNew(argument, "membroker-stashed", 0, 1);
    printf("stashed %s\n", argument);
  } else if (strncmp(line, "plain ", 6) == 0) {
    putNew(argument, "membroker-stashed", 0, 0);
    printf("stashed %s\n", argument);
  } else if (strcmp(line, "nameless") == 0) {
    forgetNames();
    printf("nameless\n");
  } else if (strncmp(line, "rename ", 7) == 0) {
    const char* new = strchr(argument, ' ') + 1;
    for (int i = 0; i < stored; i++)
      if (strncmp(store[i].name, argument, new - argument - 1) == 0 && !store[i].name[new - argument - 1])
        snprintf(store[i].name, kNameMax, "%s", new);
    printf("renamed %s\n", new);
  } else if (strncmp(line, "drop ", 5) == 0) {
    removeNamed(argument);
    printf("dropped %s\n", argument);
  } else if (strcmp(line, "quiet") == 0) {
    quiet = 1;
    printf("quiet\n");
  } else if (strcmp(line, "store") == 0) {
    printf("store");
    for (int i = 0; i < stored; i++) printf(" %s", store[i].name);
    printf("\n");
  }
}

int main(int argc, char** argv) {
  int split = 3;
  while (split < argc && strcmp(argv[split], "--") != 0) split++;
  if (split + 1 >= argc) return 2;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // As it is for systemd. Where it is refused, a small store has to do.
  const struct rlimit many = {4 * kStoreMax, 4 * kStoreMax};
  setrlimit(RLIMIT_NOFILE, &many);
  const int notify = bound(argv[1], SOCK_DGRAM), on = 1;
  if (setsockopt(notify, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) die("SO_PASSCRED");
  setenv("NOTIFY_SOCKET", argv[1], 1);
  if (strcmp(argv[2], "-") != 0) {
    listener = bound(argv[2], SOCK_STREAM);
    if (listen(listener, 64) < 0) die("listen");
  }
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  struct pollfd ready[] = {
      {0, POLLIN, 0}, {notify, POLLIN, 0}, {signalfd(-1, &child, SFD_CLOEXEC), POLLIN, 0}};
  setvbuf(stdout, NULL, _IOLBF, 0);
  setvbuf(stdin, NULL, _IONBF, 0);
  for (char line[512]; poll(ready, 3, -1) >= 0 || errno == EINTR;) {
    // What a service has said counts before its end.
    if (ready[1].revents & POLLIN) {
      heed(notify);
    } else if (ready[2].revents & POLLIN) {
      struct signalfd_siginfo info;
      if (read(ready[2].fd, &info, sizeof(info)) < 0) die("signalfd");
      int status;
      if (waitpid(service, &status, WNOHANG) == service)
        printf(WIFEXITED(status) ? "exited %d\n" : "killed %d\n",
               WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    } else if (ready[0].revents) {
      if (!fgets(line, sizeof(line), stdin)) break;
      obey(line, argv + 3, argv + split + 1);
    }
  }
  if (service > 0) kill(service, SIGKILL);
  return 0;
}
