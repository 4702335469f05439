// exp32 of kernels.h over 16 lanes; include after lanes/<isa>.h.
#pragma once

namespace {

// exp32 of x in [-87, 88], where its clamps change nothing.
SANDERLING_LANES f32x16 exp32_bounded(f32x16 x) {
  const f32x16 per_ln2 = set1(1.44269504088896341f), t = fma(x, per_ln2, set1(12582912.0f));
  const f32x16 r = fms(x, per_ln2, sub(t, set1(12582912.0f)));
  f32x16 p = set1(1.326472731e-3f);
  p = fma(p, r, set1(9.671512991e-3f));
  p = fma(p, r, set1(5.550733581e-2f));
  p = fma(p, r, set1(2.402224243e-1f));
  p = fma(p, r, set1(6.931470037e-1f));
  return times_power(fma(p, r, set1(1.0f)), t);
}

SANDERLING_LANES f32x16 exp32(f32x16 x) { return exp32_bounded(min(max(x, set1(-87.0f)), set1(88.0f))); }

}  // namespace
