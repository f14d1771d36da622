// The launcher: a child that its parent drives until it becomes a program. A connection that it makes to a broker is
// the child's own, so what the parent claims through it is claimed by the program.
// src/client/ctl/vm/launcher.ts is its other end. Started with --rewrite or --compare, it does only that, for
// src/client/ctl/vm/disk.ts.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "file_pages.hh"
#include "process.hh"
#include "unix_socket.hh"

namespace membroker {

namespace {

constexpr uint32_t kOrderBytesMax = 8 << 20;
// As in a shell.
constexpr int kCannotExecute = 126;
constexpr int kNotFound = 127;

enum Kind : uint32_t { kConnect = 1, kBecome };

/** Answers with 0 and the connection, or with -errno. */
bool Connect(int control, const std::string& path) {
  const int32_t connected = ConnectUnix(path);
  const int32_t status = std::min(connected, 0);
  std::vector<Fd> fds;
  if (connected >= 0) fds.emplace_back(connected);
  SendQueue queue;
  const auto* bytes = reinterpret_cast<const uint8_t*>(&status);
  return queue.send(control, bytes, sizeof(status), std::move(fds)) == 0 && queue.queued() == 0;
}

std::vector<std::string> Texts(const std::string& bytes) {
  std::vector<std::string> texts;
  for (size_t from = 0; from < bytes.size(); from += texts.back().size() + 1) texts.emplace_back(bytes.c_str() + from);
  return texts;
}

/**
 * The order is a count of descriptors, the number that each shall have, and texts that end with NUL: a variable of the
 * environment, the file, the arguments. Returns the exit code where there is no program to become.
 */
int Become(const std::vector<Fd>& fds, const std::string& order) {
  std::vector<uint32_t> numbers(1 + fds.size());
  const size_t head = numbers.size() * sizeof(uint32_t);
  if (order.size() < head || order.back() != '\0') return EXIT_FAILURE;
  memcpy(numbers.data(), order.data(), head);
  const std::vector<std::string> texts = Texts(order.substr(head));
  if (numbers[0] != fds.size() || texts.size() < 3 || texts[0].find('=') == std::string::npos) return EXIT_FAILURE;
  std::vector<FdMove> moves;
  for (size_t index = 0; index < fds.size(); index++)
    moves.push_back({fds[index].get(), static_cast<int>(numbers[index + 1])});
  // Of two variables of one name a shell takes the last.
  const std::string assigns = texts[0].substr(0, texts[0].find('=') + 1);
  std::vector<std::string> environment{texts[0]};
  for (char** variable = environ; *variable; variable++)
    if (strncmp(*variable, assigns.c_str(), assigns.size()) != 0) environment.emplace_back(*variable);
  const int error = Exec(texts[1], {texts.begin() + 2, texts.end()}, environment, moves);
  fprintf(stderr, "%s: %s\n", texts[1].c_str(), strerror(-error));
  return error == -ENOENT ? kNotFound : kCannotExecute;
}

int Run(int control) {
  prctl(PR_SET_NAME, "membroker-start");
  // A parent that has ended before gives no order: orders follow the first connection.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  fcntl(control, F_SETFD, FD_CLOEXEC);
  for (Order order; ReceiveOrder(control, kOrderBytesMax, &order);) {
    if (order.kind == kBecome) return Become(order.fds, order.bytes);
    if (order.kind != kConnect || !Connect(control, order.bytes)) break;
  }
  return EXIT_FAILURE;
}

}  // namespace

}  // namespace membroker

int main(int count, char** arguments) {
  if (count == 2) return membroker::Run(atoi(arguments[1]));
  if (count != 3) return EXIT_FAILURE;
  const bool rewrites = strcmp(arguments[1], "--rewrite") == 0;
  if (!rewrites && strcmp(arguments[1], "--compare") != 0) return EXIT_FAILURE;
  const int error = (rewrites ? membroker::RewritePages : membroker::ComparePages)(arguments[2]);
  if (error != 0) fprintf(stderr, "%s: %s\n", arguments[2], strerror(-error));
  return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
