#include "bench/peaks.h"

#include <immintrin.h>

#include <cstdint>

namespace {

struct alignas(64) Config {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
// Static: the compiler's intrinsics don't say that they read memory.
const Config config;
alignas(64) const std::int8_t operand[1024] = {3};

}  // namespace

namespace sanderling::bench {

double peak_int8_amx(std::size_t rounds) {
  _tile_loadconfig(&config);
  _tile_loadd(4, operand, 64);
  _tile_loadd(5, operand, 64);
  _tile_loadd(6, operand, 64);
  _tile_loadd(7, operand, 64);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::size_t i = 0; i < rounds; ++i) {
    _tile_dpbsud(0, 4, 6);
    _tile_dpbsud(1, 4, 7);
    _tile_dpbsud(2, 5, 6);
    _tile_dpbsud(3, 5, 7);
  }
  _tile_release();
  return 4.0 * 16 * 16 * 64 * static_cast<double>(rounds);
}

}  // namespace sanderling::bench
