#pragma once

#include <cstdint>
#include <string>

// Memory files. native/functions.ts documents each function. Results below zero are -errno.
namespace membroker {

int MemfdCreate(const std::string& name, uint64_t huge_page_bytes, bool allow_sealing, bool stays_writable);
int AddSeals(int fd, int seals);
int GetSeals(int fd);
int Reopen(int fd, bool writable);
int Fallocate(int fd, uint64_t offset, uint64_t length);
int PunchHole(int fd, uint64_t offset, uint64_t length);
int IsDirectAccess(const std::string& file);
int IsSoleOpener(int fd);
int OpenSole(const std::string& path);
int LockFile(int fd, uint64_t offset, uint64_t length);
int TakeWriteError(int fd);
int WatchWrites(const std::string& directory);

}  // namespace membroker
