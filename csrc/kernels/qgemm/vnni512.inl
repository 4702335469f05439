// vpdpbusd in registers of 64 bytes; include after lanes/avx512.h.
namespace {

using i32x16 = __m512i;

SANDERLING_LANES i32x16 zero() { return _mm512_setzero_si512(); }
SANDERLING_LANES __m512i broadcast4(const std::int8_t* p) {
  std::int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return _mm512_set1_epi32(word);
}
SANDERLING_LANES i32x16 dot(i32x16 acc, const std::int8_t* w, __m512i a) {
  return _mm512_dpbusd_epi32(acc, _mm512_loadu_si512(w), a);
}
SANDERLING_LANES f32x16 to_float(i32x16 acc, std::int32_t correction) {
  return {_mm512_cvtepi32_ps(_mm512_sub_epi32(acc, _mm512_set1_epi32(correction)))};
}
SANDERLING_LANES std::int32_t row_sum(const std::int8_t* a, std::size_t K) {
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i sum = _mm512_setzero_si512();
  std::size_t k = 0;
  for (; k + 64 <= K; k += 64) sum = _mm512_dpbusd_epi32(sum, ones, _mm512_loadu_si512(a + k));
  const __mmask64 rest = (std::uint64_t{1} << (K - k)) - 1;
  return _mm512_reduce_add_epi32(_mm512_dpbusd_epi32(sum, ones, _mm512_maskz_loadu_epi8(rest, a + k)));
}

struct Widths {
  static constexpr int of(int rows) { return rows == 8 ? 3 : 6; }
};

}  // namespace

#include "kernels/qgemm/vnni.inl"
