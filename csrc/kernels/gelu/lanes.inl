// GELU over the 16 virtual lanes; include after lanes/<isa>.h.
#pragma once
#include "kernels/kernels.h"

namespace {

SANDERLING_LANES f32x16 gelu16(f32x16 x) {
  const f32x16 t = min(max(x, set1(-4.8125f)), set1(4.8125f));
  const f32x16 v = fma(t, mul(t, set1(8.635520190e-02f)), set1(-1.0f));
  f32x16 p = set1(sanderling::gelu_polynomial[0]);
  SANDERLING_UNROLL
  for (int k = 1; k < 12; ++k) p = fma(p, v, set1(sanderling::gelu_polynomial[k]));
  return mul(x, fma(t, p, set1(0.5f)));
}

SANDERLING_LANES void gelu_lanes(const float* x, float* y, std::size_t n) {
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, gelu16(load(x + i)));
  if (i < n) store_first(y + i, gelu16(load_first(x + i, n - i)), n - i);
}

}  // namespace
