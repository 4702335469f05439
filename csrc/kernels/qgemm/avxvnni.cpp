#include "kernels/kernels.h"
#include "kernels/lanes/avx2.h"

namespace {

struct i32x16 {
  __m256i lo, hi;
};

SANDERLING_LANES i32x16 all(std::int32_t value) { return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)}; }
SANDERLING_LANES __m256i broadcast4(const std::int8_t* p) {
  std::int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return _mm256_set1_epi32(word);
}
SANDERLING_LANES i32x16 dot(i32x16 acc, const std::int8_t* w, __m256i a) {
  const __m256i* block = reinterpret_cast<const __m256i*>(w);
  // GCC copies accumulators around its builtin and reorders plain assembly until it needs copies again.
  __asm__ volatile("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc.lo) : "x"(_mm256_loadu_si256(block)), "x"(a));
  __asm__ volatile("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc.hi) : "x"(_mm256_loadu_si256(block + 1)), "x"(a));
  return acc;
}
SANDERLING_LANES f32x16 to_float(i32x16 acc) { return {_mm256_cvtepi32_ps(acc.lo), _mm256_cvtepi32_ps(acc.hi)}; }
SANDERLING_LANES __m128i lane_sums(const std::int8_t* a, std::size_t K) {
  const __m128i weight = _mm_set1_epi8(static_cast<char>(128));
  __m128i even = _mm_setzero_si128(), odd = even;
  std::size_t k = 0;
  for (; k + 32 <= K; k += 32) {
    even = _mm_dpbusd_avx_epi32(even, weight, _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + k)));
    odd = _mm_dpbusd_avx_epi32(odd, weight, _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + k + 16)));
  }
  if (k < K) even = _mm_dpbusd_avx_epi32(even, weight, _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + k)));
  return _mm_add_epi32(even, odd);
}
SANDERLING_LANES void row_starts(const std::int8_t* a, std::size_t rows, std::size_t K, std::int32_t* starts) {
  for (std::size_t m = 0; m < rows; ++m) {
    const __m128i four = lane_sums(a + m * K, K);
    const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    starts[m] = -_mm_cvtsi128_si32(_mm_add_epi32(two, _mm_srli_epi64(two, 32)));
  }
}

struct Widths {
  static constexpr int of(int rows) { return rows == 8 ? 0 : rows == 1 ? 4 : rows == 2 ? 3 : 1; }
};

}  // namespace

#include "kernels/qgemm/offset4.inl"
#include "kernels/qgemm/finish.inl"
#include "kernels/qgemm/panels.inl"

namespace sanderling {

std::size_t qgemm_size_avxvnni(std::size_t N, std::size_t K) { return offset4_size<4>(N, K); }

void qgemm_pack_avxvnni(const std::int8_t* w, std::size_t N, std::size_t K, void* packed) {
  offset4_pack<4>(w, N, K, packed);
}

void qgemm_run_avxvnni(const std::int8_t* a, const float* a_scale, const void* packed, const float* w_scale,
                       const float* bias, float* y, std::size_t ldy, std::size_t M, std::size_t N, std::size_t K,
                       bool add) {
  panels_run({a, a_scale, static_cast<const std::int8_t*>(packed), w_scale, bias, y, ldy, N, K, K, add}, M);
}

}  // namespace sanderling
