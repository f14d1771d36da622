#pragma once

#include <cstdint>
#include <string>

// Memory files and what the kernel says of them. Results below zero are -errno.
namespace membroker {

/** huge_page_bytes 0: ordinary pages. Close-on-exec, mode 0600. */
int MemfdCreate(const std::string& name, uint64_t huge_page_bytes, bool allow_sealing);
int AddSeals(int fd, int seals);
int GetSeals(int fd);
/** A new open file description of the same file. */
int Reopen(int fd, bool writable);
int Fallocate(int fd, uint64_t offset, uint64_t length);
int PunchHole(int fd, uint64_t offset, uint64_t length);
/** 1: no other open file description of fd's file exists; 0: there are others. */
int IsSoleOpener(int fd);
int LockFile(int fd);

}  // namespace membroker
