#include "kernels/kernels.h"
#include "kernels/lanes/avx2.h"
#include "kernels/qgemm/interleave4.inl"

namespace {

struct i32x16 {
  __m256i lo, hi;
};
struct Words {
  __m256i a, magnitude;
};

SANDERLING_LANES i32x16 all(std::int32_t value) { return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)}; }
SANDERLING_LANES Words broadcast4(const std::int8_t* p) {
  std::int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  const __m256i a = _mm256_set1_epi32(word);
  return {a, _mm256_abs_epi8(a)};
}
// |a| and sign(w, a) keep vpmaddubsw exact: a pair is at most 2 * 127 * 127.
SANDERLING_LANES __m256i dot4(__m256i acc, __m256i w, Words a) {
  const __m256i pairs = _mm256_maddubs_epi16(a.magnitude, _mm256_sign_epi8(w, a.a));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
SANDERLING_LANES i32x16 dot(i32x16 acc, const std::int8_t* w, Words a) {
  const __m256i* block = reinterpret_cast<const __m256i*>(w);
  return {dot4(acc.lo, _mm256_loadu_si256(block), a), dot4(acc.hi, _mm256_loadu_si256(block + 1), a)};
}
SANDERLING_LANES f32x16 to_float(i32x16 acc) { return {_mm256_cvtepi32_ps(acc.lo), _mm256_cvtepi32_ps(acc.hi)}; }
// The weights are stored as they are.
SANDERLING_LANES void row_starts(const std::int8_t*, std::size_t rows, std::size_t, std::int32_t* starts) {
  for (std::size_t m = 0; m < rows; ++m) starts[m] = 0;
}

struct Widths {
  static constexpr int of(int rows) { return rows > 2 ? 0 : 2; }
};

}  // namespace

#include "kernels/qgemm/finish.inl"
#include "kernels/qgemm/panels.inl"

namespace sanderling {

std::size_t qgemm_size_avx2(std::size_t N, std::size_t K) { return interleave4_size(N, K); }

void qgemm_pack_avx2(const std::int8_t* w, std::size_t N, std::size_t K, void* packed) {
  interleave4_pack(w, N, K, packed);
}

void qgemm_run_avx2(const std::int8_t* a, const float* a_scale, const void* packed, const float* w_scale,
                    const float* bias, float* y, std::size_t ldy, std::size_t M, std::size_t N, std::size_t K,
                    bool add) {
  panels_run({a, a_scale, static_cast<const std::int8_t*>(packed), w_scale, bias, y, ldy, N, K, K, add}, M);
}

}  // namespace sanderling
