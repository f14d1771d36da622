#pragma once

#include <cstdint>
#include <string>

// The kernel's Live Update Orchestrator, which keeps memfds over kexec. native/functions.ts documents each function.
// Results below zero are -errno.
namespace membroker {

int CreateLiveSession(int device, const std::string& name);
int RetrieveLiveSession(int device, const std::string& name);
int LiveSessionName(int session, std::string* name);
int PreserveFile(int session, int file, uint64_t token);
int RetrieveFile(int session, uint64_t token);
int FinishLiveSession(int session);

}  // namespace membroker
