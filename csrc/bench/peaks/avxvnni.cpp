#include "bench/peaks.h"

#include <immintrin.h>

// Arrays stay in registers only when their loops are gone.
#define UNROLLED _Pragma("GCC unroll 32")

namespace sanderling::bench {

double peak_int8_avxvnni(std::size_t rounds) {
  constexpr int chains = 12;
  __m256i acc[chains] = {}, w = _mm256_set1_epi8(3), a = _mm256_set1_epi8(-5);
  __asm__ volatile("" : "+x"(a), "+x"(w));
  // Chains that the compiler can't tell to be equal.
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" : "+x"(acc[j]));
  for (std::size_t i = 0; i < rounds; ++i) {
    UNROLLED for (int j = 0; j < chains; ++j) __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc[j]) : "x"(w), "x"(a));
  }
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" ::"x"(acc[j]));
  return 32.0 * chains * static_cast<double>(rounds);
}

}  // namespace sanderling::bench
