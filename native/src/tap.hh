#pragma once

#include <string>

// native/functions.ts documents the functions. Results below zero are -errno.
namespace membroker {

int OpenTap(const std::string& name, bool vnet_header);
int TapHeaderBytes(int fd);
int SetTapHeaderBytes(int fd, int bytes);
int TapOffloads(int fd);
int SetTapOffloads(int fd, int flags);

}  // namespace membroker
