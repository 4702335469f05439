#include "bench/peaks.h"

#include <arm_neon.h>

// Arrays stay in registers only when their loops are gone.
#define UNROLLED _Pragma("GCC unroll 32")

#define WIDTH 16
#define REGISTER "w"
#include "bench/peaks/memory.inl"

namespace sanderling::bench {

// SMULL, SMLAL2, SADALP for 16 products.
double peak_int8_neon(std::size_t rounds) {
  constexpr int chains = 8;
  int32x4_t acc[chains] = {};
  int8x16_t w = vdupq_n_s8(3), a = vdupq_n_s8(-5);
  // Chains that the compiler can't tell to be equal.
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" : "+w"(acc[j]));
  for (std::size_t i = 0; i < rounds; ++i) {
    UNROLLED for (int j = 0; j < chains; ++j) {
      __asm__ volatile("" : "+w"(w), "+w"(a));  // new operands for the compiler, the same registers
      const int16x8_t products = vmull_s8(vget_low_s8(a), vget_low_s8(w));
      acc[j] = vpadalq_s16(acc[j], vmlal_high_s8(products, a, w));
    }
  }
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" ::"w"(acc[j]));
  return 16.0 * chains * static_cast<double>(rounds);
}

double peak_fp32_neon(std::size_t rounds) {
  constexpr int chains = 16;
  float32x4_t acc[chains] = {}, a = vdupq_n_f32(0.5f), b = vdupq_n_f32(0.25f);
  __asm__ volatile("" : "+w"(a), "+w"(b));
  // Chains that the compiler can't tell to be equal.
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" : "+w"(acc[j]));
  for (std::size_t i = 0; i < rounds; ++i) {
    UNROLLED for (int j = 0; j < chains; ++j) acc[j] = vfmaq_f32(acc[j], a, b);
  }
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" ::"w"(acc[j]));
  return 4.0 * chains * static_cast<double>(rounds);
}

void read_neon(const void* from, std::size_t bytes) { read_memory(from, bytes); }
void copy_neon(const void* from, void* to, std::size_t bytes) { copy_memory(from, to, bytes); }

}  // namespace sanderling::bench
