#include "kernels/kernels.h"
#include "kernels/lanes/neon.h"

namespace sanderling {
namespace {

// Two lanes of both sums; pair k holds lanes 2k and 2k + 1.
struct Pair {
  float64x2_t second, fourth;
};

SANDERLING_LANES void take(Pair& p, float64x2_t v) {
  const float64x2_t e = vmulq_f64(v, v);
  p.second = vaddq_f64(p.second, e);
  p.fourth = vaddq_f64(p.fourth, vmulq_f64(e, e));
}

SANDERLING_LANES void take(Pair* p, float32x4_t x) {
  take(p[0], vcvt_f64_f32(vget_low_f32(x)));
  take(p[1], vcvt_high_f64_f32(x));
}

SANDERLING_LANES void take(Pair (&p)[8], f32x16 v) {
  take(p, v.a);
  take(p + 2, v.b);
  take(p + 4, v.c);
  take(p + 6, v.d);
}

}  // namespace

void moments_neon(const float* x, const float* weight, std::size_t n, double sums[2]) {
  Pair p[8];
  SANDERLING_UNROLL for (Pair& one : p) one = {vdupq_n_f64(0.0), vdupq_n_f64(0.0)};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) take(p, mul(load(x + i), load(weight + i)));
  // Absent lanes add +0 to sums that are never -0.
  if (i < n) take(p, mul(load_first(x + i, n - i), load_first(weight + i, n - i)));
  SANDERLING_UNROLL for (std::size_t half = 4; half > 0; half /= 2)
    for (std::size_t k = 0; k < half; ++k) {
      p[k].second = vaddq_f64(p[k].second, p[k + half].second);
      p[k].fourth = vaddq_f64(p[k].fourth, p[k + half].fourth);
    }
  sums[0] = vgetq_lane_f64(p[0].second, 0) + vgetq_lane_f64(p[0].second, 1);
  sums[1] = vgetq_lane_f64(p[0].fourth, 0) + vgetq_lane_f64(p[0].fourth, 1);
}

}  // namespace sanderling
