#include "kernels/kernels.h"
#include "kernels/lanes/avx2.h"

namespace sanderling {
namespace {

// Four lanes of both sums; quarter k holds lanes 4k .. 4k + 3.
struct Quarter {
  __m256d second, fourth;
};

SANDERLING_LANES void take(Quarter& q, __m128 x) {
  const __m256d v = _mm256_cvtps_pd(x), e = _mm256_mul_pd(v, v);
  q.second = _mm256_add_pd(q.second, e);
  q.fourth = _mm256_add_pd(q.fourth, _mm256_mul_pd(e, e));
}

SANDERLING_LANES void take(Quarter (&q)[4], f32x16 v) {
  take(q[0], _mm256_castps256_ps128(v.lo));
  take(q[1], _mm256_extractf128_ps(v.lo, 1));
  take(q[2], _mm256_castps256_ps128(v.hi));
  take(q[3], _mm256_extractf128_ps(v.hi, 1));
}

// 8-4-2-1
SANDERLING_LANES double fold_pairs(__m256d a, __m256d b, __m256d c, __m256d d) {
  const __m256d a4 = _mm256_add_pd(_mm256_add_pd(a, c), _mm256_add_pd(b, d));
  const __m128d a2 = _mm_add_pd(_mm256_castpd256_pd128(a4), _mm256_extractf128_pd(a4, 1));
  return _mm_cvtsd_f64(_mm_add_sd(a2, _mm_unpackhi_pd(a2, a2)));
}

}  // namespace

void moments_avx2(const float* x, const float* weight, std::size_t n, double sums[2]) {
  const __m256d zero = _mm256_setzero_pd();
  Quarter q[4] = {{zero, zero}, {zero, zero}, {zero, zero}, {zero, zero}};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) take(q, mul(load(x + i), load(weight + i)));
  // Absent lanes add +0 to sums that are never -0.
  if (i < n) take(q, mul(load_first(x + i, n - i), load_first(weight + i, n - i)));
  sums[0] = fold_pairs(q[0].second, q[1].second, q[2].second, q[3].second);
  sums[1] = fold_pairs(q[0].fourth, q[1].fourth, q[2].fourth, q[3].fourth);
}

}  // namespace sanderling
