#pragma once

#include <string>
#include <utility>
#include <vector>

#include "pidfd.hh"

// Results below zero are -errno.
namespace membroker {

int PidfdSendSignal(int pidfd, int signal);
/** 1: not exited yet; 0: exited. */
int PidfdIsAlive(int pidfd);

struct FdMove {
  int from;
  int to;
};
/**
 * Replaces this process. Sources may be the targets of other moves. On failure, the only case in which it returns,
 * descriptors, signals and modes are as before.
 */
int Exec(const std::string& file, const std::vector<std::string>& argv, const std::vector<std::string>& environment,
         const std::vector<FdMove>& moves);

}  // namespace membroker
