#pragma once

#include <string>
#include <utility>
#include <vector>

#include "pidfd.hh"

// native/functions.ts documents each function. Results below zero are -errno.
namespace membroker {

int PidfdSendSignal(int pidfd, int signal);
int PidfdIsAlive(int pidfd);
int PidfdGetfd(int pidfd, int fd);

struct FdMove {
  int from;
  int to;
};
int Exec(const std::string& file, const std::vector<std::string>& argv, const std::vector<std::string>& environment,
         const std::vector<FdMove>& moves);
/** Bytes written; -EAGAIN when the descriptor takes nothing. */
int WriteNonblocking(int fd, const uint8_t* bytes, size_t size);

}  // namespace membroker
