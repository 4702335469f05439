#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"

namespace sanderling {
namespace {

// Eight lanes of both sums.
struct Half {
  __m512d second, fourth;
};

SANDERLING_LANES void take(Half& h, __m256 x) {
  const __m512d v = _mm512_cvtps_pd(x), e = _mm512_mul_pd(v, v);
  h.second = _mm512_add_pd(h.second, e);
  h.fourth = _mm512_add_pd(h.fourth, _mm512_mul_pd(e, e));
}

SANDERLING_LANES void take(Half& lo, Half& hi, f32x16 v) {
  take(lo, _mm512_castps512_ps256(v.all));
  take(hi, _mm512_extractf32x8_ps(v.all, 1));
}

// 8-4-2-1
SANDERLING_LANES double fold_halves(__m512d a, __m512d b) {
  const __m512d a8 = _mm512_add_pd(a, b);
  const __m256d a4 = _mm256_add_pd(_mm512_castpd512_pd256(a8), _mm512_extractf64x4_pd(a8, 1));
  const __m128d a2 = _mm_add_pd(_mm256_castpd256_pd128(a4), _mm256_extractf128_pd(a4, 1));
  return _mm_cvtsd_f64(_mm_add_sd(a2, _mm_unpackhi_pd(a2, a2)));
}

}  // namespace

void moments_avx512(const float* x, const float* weight, std::size_t n, double sums[2]) {
  const __m512d zero = _mm512_setzero_pd();
  Half lo = {zero, zero}, hi = {zero, zero};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) take(lo, hi, mul(load(x + i), load(weight + i)));
  // Absent lanes add +0 to sums that are never -0.
  if (i < n) take(lo, hi, mul(load_first(x + i, n - i), load_first(weight + i, n - i)));
  sums[0] = fold_halves(lo.second, hi.second);
  sums[1] = fold_halves(lo.fourth, hi.fourth);
}

}  // namespace sanderling
