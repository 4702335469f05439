// exp32 of kernels.h over 16 lanes; include after lanes/<isa>.h.
#pragma once

namespace {

// exp32 of x in [-87, 88], where its clamps change nothing.
SANDERLING_LANES f32x16 exp32_bounded(f32x16 x) {
  const f32x16 n = rne(mul(x, set1(1.44269504088896341f)));
  f32x16 r = fma(n, set1(-0.693359375f), x);
  r = fma(n, set1(2.12194440e-4f), r);
  f32x16 p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  const f32x16 y = add(fma(p, mul(r, r), r), set1(1.0f));
  return scale_by_exp2(y, n);
}

SANDERLING_LANES f32x16 exp32(f32x16 x) { return exp32_bounded(min(max(x, set1(-87.0f)), set1(88.0f))); }

}  // namespace
