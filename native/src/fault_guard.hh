#pragma once

#include <cstddef>

namespace membroker {

/**
 * Calls access(argument) so that a SIGBUS at an address in [base, base + length) ends it with -EFAULT instead of
 * killing the process; 0 otherwise. Any number of threads at once; not nested. On a fault access is left by a jump:
 * it must own nothing that needs a destructor. Faults elsewhere go to the handler that was there before.
 */
int WithFaultGuard(const void* base, size_t length, void (*access)(void*), void* argument);

}  // namespace membroker
