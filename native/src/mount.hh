#pragma once

#include <cstdint>
#include <string>

// Mounts of their own for device nodes and files. native/functions.ts documents each function. Results below zero are -errno.
namespace membroker {

int MountPrivate(const std::string& path);
int MountNode(const std::string& path, const std::string& name, uint64_t device, uint32_t uid);
int BindPrivate(const std::string& file, const std::string& path);
int UnshareMounts();
int BindFile(int file, int place, bool writable);
int IsMountIdle(const std::string& path);
int Unmount(const std::string& path, bool detach);
int MakeNode(const std::string& path, uint64_t device);
int SpliceToPipe(int fd, uint64_t offset, uint64_t map_bytes);

}  // namespace membroker
