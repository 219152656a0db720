// CRC-32C (Castagnoli), by instruction where the CPU has one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pcfs {

// Continues from `seed` (0 at first): crc32c(crc32c(0, a), b) = crc32c(0, a + b).
uint32_t crc32c(uint32_t seed, const void *data, size_t length);

}  // namespace pcfs
