#include "spawn.hh"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "fd.hh"
#include "process.hh"

namespace membroker {

namespace {

constexpr int kSocket = 3;
constexpr int kArea = 4;

}  // namespace

Spawned SpawnWorker(int executable, int socket, int area) {
  // Copies lie above the numbers that the worker gets.
  const Fd from_socket(fcntl(socket, F_DUPFD_CLOEXEC, kArea + 1));
  const Fd from_area(from_socket.valid() ? fcntl(area, F_DUPFD_CLOEXEC, kArea + 1) : -1);
  const Fd program(from_area.valid() ? fcntl(executable, F_DUPFD_CLOEXEC, kArea + 1) : -1);
  if (!program.valid()) return {-errno, -1};

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&actions, 0, 1);
  // Node marks the standard error stream close-on-exec; a dup2 onto itself clears the mark.
  posix_spawn_file_actions_adddup2(&actions, 2, 2);
  posix_spawn_file_actions_adddup2(&actions, from_socket.get(), kSocket);
  posix_spawn_file_actions_adddup2(&actions, from_area.get(), kArea);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  const std::string path = "/proc/self/fd/" + std::to_string(program.get());
  char name[] = "membroker-worker";
  char* const arguments[] = {name, nullptr};
  pid_t pid;
  // This copies none of this process' memory: glibc makes the child by CLONE_VM | CLONE_VFORK.
  const int error = posix_spawn(&pid, path.c_str(), &actions, &attributes, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error) return {-error, -1};
  // Nobody else reaps the child, so the number is still its own.
  const int pidfd = PidfdOpen(pid);
  if (pidfd >= 0) return {pid, pidfd};
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  return {pidfd, -1};
}

int Reap(int pid) {
  pid_t reaped;
  do reaped = waitpid(pid, nullptr, WNOHANG);
  while (reaped < 0 && errno == EINTR);
  return reaped < 0 ? -errno : reaped == 0 ? -EAGAIN : 0;
}

}  // namespace membroker
