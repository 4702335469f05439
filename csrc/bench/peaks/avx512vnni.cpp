#include "bench/peaks.h"

#include <immintrin.h>

// Arrays stay in registers only when their loops are gone.
#define UNROLLED _Pragma("GCC unroll 32")

#define WIDTH 64
#define REGISTER "v"
#include "bench/peaks/memory.inl"

namespace sanderling::bench {

double peak_int8_avx512vnni(std::size_t rounds) {
  constexpr int chains = 24;
  __m512i acc[chains] = {}, w = _mm512_set1_epi8(3), a = _mm512_set1_epi8(-5);
  __asm__ volatile("" : "+v"(a), "+v"(w));
  // Chains that the compiler can't tell to be equal.
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" : "+v"(acc[j]));
  for (std::size_t i = 0; i < rounds; ++i) {
    UNROLLED for (int j = 0; j < chains; ++j) __asm__("vpdpbusd %2, %1, %0" : "+v"(acc[j]) : "v"(w), "v"(a));
  }
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" ::"v"(acc[j]));
  return 64.0 * chains * static_cast<double>(rounds);
}

double peak_fp32_avx512vnni(std::size_t rounds) {
  constexpr int chains = 24;
  __m512 acc[chains] = {}, a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(0.25f);
  __asm__ volatile("" : "+v"(a), "+v"(b));
  // Chains that the compiler can't tell to be equal.
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" : "+v"(acc[j]));
  for (std::size_t i = 0; i < rounds; ++i) {
    UNROLLED for (int j = 0; j < chains; ++j) acc[j] = _mm512_fmadd_ps(a, b, acc[j]);
  }
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" ::"v"(acc[j]));
  return 16.0 * chains * static_cast<double>(rounds);
}

void read_avx512vnni(const void* from, std::size_t bytes) { read_memory(from, bytes); }
void copy_avx512vnni(const void* from, void* to, std::size_t bytes) { copy_memory(from, to, bytes); }

}  // namespace sanderling::bench
