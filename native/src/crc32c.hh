#pragma once

#include <cstddef>
#include <cstdint>

namespace membroker {

/** CRC32C (Castagnoli, reflected, inverted in and out), continuing from initial; 0 at first. */
uint32_t Crc32c(const void* bytes, size_t length, uint32_t initial);
/** The same without special instructions. */
uint32_t Crc32cPortable(const void* bytes, size_t length, uint32_t initial);

}  // namespace membroker
