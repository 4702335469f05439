#include "bench/peaks.h"

#include <arm_neon.h>

// Arrays stay in registers only when their loops are gone.
#define UNROLLED _Pragma("GCC unroll 32")

namespace sanderling::bench {

double peak_int8_neon_dotprod(std::size_t rounds) {
  constexpr int chains = 16;
  int32x4_t acc[chains] = {};
  int8x16_t w = vdupq_n_s8(3), a = vdupq_n_s8(-5);
  __asm__ volatile("" : "+w"(w), "+w"(a));
  // Chains that the compiler can't tell to be equal.
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" : "+w"(acc[j]));
  for (std::size_t i = 0; i < rounds; ++i) {
    UNROLLED for (int j = 0; j < chains; ++j) acc[j] = vdotq_s32(acc[j], w, a);
  }
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" ::"w"(acc[j]));
  return 16.0 * chains * static_cast<double>(rounds);
}

}  // namespace sanderling::bench
