#include "bench/peaks.h"

#include <immintrin.h>

// Arrays stay in registers only when their loops are gone.
#define UNROLLED _Pragma("GCC unroll 32")

#define WIDTH 32
#define REGISTER "x"
#include "bench/peaks/memory.inl"

namespace sanderling::bench {

// vpsignb, vpmaddubsw, vpmaddwd, vpaddd: what an exact signed product of bytes takes without VNNI.
double peak_int8_avx2(std::size_t rounds) {
  constexpr int chains = 8;
  __m256i acc[chains] = {};
  __m256i w = _mm256_set1_epi8(3), a = _mm256_set1_epi8(-5), ones = _mm256_set1_epi16(1);
  __asm__ volatile("" : "+x"(a), "+x"(ones));
  const __m256i a_abs = _mm256_abs_epi8(a);
  // Chains that the compiler can't tell to be equal.
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" : "+x"(acc[j]));
  for (std::size_t i = 0; i < rounds; ++i) {
    UNROLLED for (int j = 0; j < chains; ++j) {
      __asm__ volatile("" : "+x"(w));  // a new operand for the compiler, the same register
      const __m256i pairs = _mm256_maddubs_epi16(a_abs, _mm256_sign_epi8(w, a));
      acc[j] = _mm256_add_epi32(acc[j], _mm256_madd_epi16(pairs, ones));
    }
  }
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" ::"x"(acc[j]));
  return 32.0 * chains * static_cast<double>(rounds);
}

double peak_fp32_avx2(std::size_t rounds) {
  constexpr int chains = 12;
  __m256 acc[chains] = {}, a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(0.25f);
  __asm__ volatile("" : "+x"(a), "+x"(b));
  // Chains that the compiler can't tell to be equal.
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" : "+x"(acc[j]));
  for (std::size_t i = 0; i < rounds; ++i) {
    UNROLLED for (int j = 0; j < chains; ++j) acc[j] = _mm256_fmadd_ps(a, b, acc[j]);
  }
  UNROLLED for (int j = 0; j < chains; ++j) __asm__ volatile("" ::"x"(acc[j]));
  return 8.0 * chains * static_cast<double>(rounds);
}

void read_avx2(const void* from, std::size_t bytes) { read_memory(from, bytes); }
void copy_avx2(const void* from, void* to, std::size_t bytes) { copy_memory(from, to, bytes); }

}  // namespace sanderling::bench
