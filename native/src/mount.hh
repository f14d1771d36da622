#pragma once

#include <cstdint>
#include <string>

// Mounts of their own for device nodes, and what the kernel says of them. Results below zero are -errno.
namespace membroker {

/** An empty tmpfs that nothing of is propagated to other mount namespaces. Mode 0700. */
int MountPrivate(const std::string& path);
/** The same in a new directory, with a character device of that name in it. Nothing of it is left when it fails. */
int MountNode(const std::string& path, const std::string& name, uint64_t device, uint32_t uid);
/** The file under another path, not propagated either. */
int BindPrivate(const std::string& file, const std::string& path);
/** 1: nothing anywhere is open by way of this mount; 0: something is. */
int IsMountIdle(const std::string& path);
/** detach: also while something is open by way of it. */
int Unmount(const std::string& path, bool detach);
/** A character device, mode 0600. */
int MakeNode(const std::string& path, uint64_t device);
/** A pipe with one page of the file in it: not a copy, the page itself. Nothing of the file stays mapped. */
int SpliceToPipe(int fd, uint64_t offset, uint64_t map_bytes);

}  // namespace membroker
