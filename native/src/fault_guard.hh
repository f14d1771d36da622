#pragma once

#include <cstddef>
#include <cstdint>

namespace membroker {

/** Where memory has failed: the page of 2^address_bits bytes around address is lost. */
struct Fault {
  uintptr_t address;
  unsigned address_bits;
};

/**
 * Calls access(argument) so that a SIGBUS at an address in [base, base + length) ends it instead of killing the
 * process: with -EHWPOISON for bad memory, of which fault then tells, with -EFAULT for pages that are not there; 0
 * otherwise. That memory nobody uses at the moment is bad (BUS_MCEERR_AO) ends nothing: whoever uses it will see.
 * Any number of threads at once; not nested. On a fault access is left by a jump: it must own nothing that needs a
 * destructor. Faults elsewhere go to the handler that was there before.
 */
int WithFaultGuard(const void* base, size_t length, void (*access)(void*), void* argument,
                   Fault* fault = nullptr);

/** Copies between guarded memory, which is base and one of from and to, and memory of this process. As above. */
int GuardedCopy(const void* base, void* to, const void* from, size_t length);

}  // namespace membroker
