// Runs a command in a pseudo-terminal of its own: pty ROWS COLUMNS COMMAND [ARGS...]
// Standard input is what is typed, standard output what the terminal is sent. Descriptor 3 takes lines "ROWS COLUMNS":
// the window has that size from then on. Descriptor 4 tells "pid N", and at the end "ended STATUS same" or "changed":
// whether the terminal's settings are those it began with. STATUS is as a shell has it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static void fail(const char *what) {
  perror(what);
  exit(125);
}

static void resize(int master, unsigned rows, unsigned columns) {
  struct winsize size = {.ws_row = rows, .ws_col = columns};
  if (ioctl(master, TIOCSWINSZ, &size) != 0) fail("TIOCSWINSZ");
}

static pid_t start(int master, char **command) {
  const char *name = ptsname(master);
  if (!name) fail("ptsname");
  pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid > 0) return pid;
  setsid();
  int slave = open(name, O_RDWR);
  if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) != 0) fail(name);
  for (int fd = 0; fd < 3; fd++) dup2(slave, fd);
  close(slave);
  close(3);
  close(4);
  close(master);
  execvp(command[0], command);
  fail(command[0]);
  return -1;
}

// Copies what there is; 0 at the end.
static int copy(int from, int to) {
  char bytes[65536];
  ssize_t got = read(from, bytes, sizeof bytes);
  if (got <= 0) return got < 0 && errno == EINTR;
  for (ssize_t done = 0; done < got;) {
    ssize_t wrote = write(to, bytes + done, got - done);
    if (wrote < 0) fail("write");
    done += wrote;
  }
  return 1;
}

static int command_line(int master) {
  static char line[64];
  static unsigned length;
  char byte;
  if (read(3, &byte, 1) != 1) return 0;
  if (byte != '\n') {
    if (length < sizeof line - 1) line[length++] = byte;
    return 1;
  }
  line[length] = 0;
  length = 0;
  unsigned rows, columns;
  if (sscanf(line, "%u %u", &rows, &columns) == 2) resize(master, rows, columns);
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 4) return 125;
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) fail("posix_openpt");
  resize(master, atoi(argv[1]), atoi(argv[2]));
  struct termios before, after;
  if (tcgetattr(master, &before) != 0) fail("tcgetattr");
  pid_t pid = start(master, argv + 3);
  dprintf(4, "pid %d\n", pid);

  struct pollfd fds[] = {{0, POLLIN, 0}, {3, POLLIN, 0}, {master, POLLIN, 0}};
  for (;;) {
    if (poll(fds, 3, -1) < 0 && errno != EINTR) fail("poll");
    if (fds[0].revents && !copy(0, master)) fds[0].fd = -1;
    if (fds[1].revents && !command_line(master)) fds[1].fd = -1;
    if (fds[2].revents && !copy(master, 1)) break;
  }
  int status;
  if (waitpid(pid, &status, 0) != pid) fail("waitpid");
  if (tcgetattr(master, &after) != 0) fail("tcgetattr");
  int same = before.c_iflag == after.c_iflag && before.c_oflag == after.c_oflag &&
             before.c_cflag == after.c_cflag && before.c_lflag == after.c_lflag;
  dprintf(4, "ended %d %s\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          same ? "same" : "changed");
  return 0;
}
