#pragma once

#include <cstddef>
#include <cstdint>

// native/functions.ts documents both.
namespace membroker {

uint32_t Crc32c(const void* bytes, size_t length, uint32_t initial);
uint32_t Crc32cPortable(const void* bytes, size_t length, uint32_t initial);

}  // namespace membroker
