// vpdpbusd in registers of 64 bytes; include after lanes/avx512.h.
namespace {

using i32x16 = __m512i;

SANDERLING_LANES i32x16 all(std::int32_t value) { return _mm512_set1_epi32(value); }
SANDERLING_LANES __m512i broadcast4(const std::int8_t* p) {
  std::int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return _mm512_set1_epi32(word);
}
SANDERLING_LANES i32x16 dot(i32x16 acc, const std::int8_t* w, __m512i a) {
  // GCC copies accumulators around its builtin and reorders plain assembly until it needs copies again.
  __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(_mm512_loadu_si512(w)), "v"(a));
  return acc;
}
SANDERLING_LANES f32x16 to_float(i32x16 acc) { return {_mm512_cvtepi32_ps(acc)}; }
SANDERLING_LANES __m512i lane_sums(const std::int8_t* a, std::size_t K) {
  const __m512i weight = _mm512_set1_epi8(static_cast<char>(128));
  __m512i sum = _mm512_setzero_si512();
  std::size_t k = 0;
  for (; k + 64 <= K; k += 64) sum = _mm512_dpbusd_epi32(sum, weight, _mm512_loadu_si512(a + k));
  const __mmask64 rest = (std::uint64_t{1} << (K - k)) - 1;
  return _mm512_dpbusd_epi32(sum, weight, _mm512_maskz_loadu_epi8(rest, a + k));
}
// Of lanes i and i + step of a, then of b, of each four or two.
SANDERLING_LANES __m512i pairs32(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}
SANDERLING_LANES __m512i pairs64(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}
// Four rows at a time; beyond the last row the last one again.
SANDERLING_LANES void row_starts(const std::int8_t* a, std::size_t rows, std::size_t K, std::int32_t* starts) {
  for (std::size_t m = 0; m < rows; m += 4) {
    const auto row = [=](std::size_t i) { return lane_sums(a + (m + i < rows ? m + i : rows - 1) * K, K); };
    const __m512i four = pairs64(pairs32(row(0), row(1)), pairs32(row(2), row(3)));
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64(four, 1));
    const __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    const std::size_t left = rows - m < 4 ? rows - m : 4;
    _mm_mask_storeu_epi32(starts + m, static_cast<__mmask8>((1u << left) - 1), _mm_sub_epi32(_mm_setzero_si128(), sum));
  }
}

struct Widths {
  static constexpr int of(int rows) { return rows == 8 ? 3 : rows == 6 ? 0 : 6; }
};

}  // namespace

#include "kernels/qgemm/finish512.inl"
#include "kernels/qgemm/offset4.inl"
#include "kernels/qgemm/panels.inl"
