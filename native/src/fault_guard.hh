#pragma once

#include <cstddef>
#include <cstdint>

namespace membroker {

/** Memory that has failed: the page of 2^address_bits bytes around address is lost. */
struct Fault {
  uintptr_t address;
  unsigned address_bits;
};

/**
 * Calls access(argument) so that a SIGBUS at an address in [base, base + length) ends the call instead of the process.
 * It returns 0, -EFAULT for pages that are missing, or -EHWPOISON for bad memory, which it then writes into fault. A
 * SIGBUS for bad memory that nobody uses at the moment (BUS_MCEERR_AO) ends nothing: whoever uses that memory gets one.
 * Any number of threads may call it at once; calls do not nest. A fault leaves access by a jump, so access must own
 * nothing that needs a destructor. Faults elsewhere go to the handler that was there before.
 */
int WithFaultGuard(const void* base, size_t length, void (*access)(void*), void* argument,
                   Fault* fault = nullptr);

/**
 * Copies between guarded memory (base, and either from or to) and memory of this process; returns as WithFaultGuard.
 */
int GuardedCopy(const void* base, void* to, const void* from, size_t length);

}  // namespace membroker
