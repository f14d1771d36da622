#pragma once

namespace membroker {

/**
 * Has the kernel write a file to its disk once more: makes the pages of its data dirty, as they are. Others may store into them
 * meanwhile. Holes stay. 0 or -errno. A page that the disk does not give any more is a SIGBUS.
 */
int RewritePages(const char* path);

/**
 * Compares a file's pages with its disk, where nobody stores into them: 0, -EIO where the disk has other data, or -errno. The
 * filesystem must know O_DIRECT.
 */
int ComparePages(const char* path);

}  // namespace membroker
