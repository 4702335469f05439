// GELU over the 16 virtual lanes; include after lanes/<isa>.h.
#pragma once
#include "kernels/lanes/exp32.inl"

namespace {

SANDERLING_LANES f32x16 gelu16(f32x16 x) {
  const f32x16 u = fma(mul(set1(0.044715f), mul(x, x)), x, x);
  const f32x16 e = exp32(mul(u, set1(-1.59576912160573f)));
  return div(x, add(set1(1.0f), e));
}

SANDERLING_LANES void gelu_lanes(const float* x, float* y, std::size_t n) {
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, gelu16(load(x + i)));
  if (i < n) store_first(y + i, gelu16(load_first(x + i, n - i)), n - i);
}

}  // namespace
