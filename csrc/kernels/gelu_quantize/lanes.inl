// GELU whose rows go straight into the quantiser; include after lanes/<isa>.h.
#include "kernels/gelu/lanes.inl"
#include "kernels/lanes/ahead.inl"
#include "kernels/quantize_rows/lanes.inl"

namespace {

// y = gelu(x) of a row; the largest magnitude of each lane.
SANDERLING_LANES f32x16 gelu_row(float* x, std::size_t K, AheadLines& ahead) {
  f32x16 top = set1(0.0f), other = set1(0.0f);
  std::size_t i = 0;
  for (; i + 32 <= K; i += 32) {
    const f32x16 y = gelu16(load(x + i)), next = gelu16(load(x + i + 16));
    store(x + i, y);
    store(x + i + 16, next);
    ahead.bring();
    top = max(top, abs(y));
    other = max(other, abs(next));
  }
  for (; i < K; i += 16) {
    const std::size_t n = K - i < 16 ? K - i : 16;
    const f32x16 y = gelu16(load_first(x + i, n));
    store_first(x + i, y, n);
    top = max(top, abs(y));  // gelu(+0) is +0
  }
  return max(top, other);
}

// As many rows at a time as stay in the first cache between the two.
SANDERLING_LANES void gelu_quantize_lanes(float* x, std::int8_t* q, float* scale, std::size_t rows, std::size_t K,
                                          sanderling::Ahead ahead) {
  constexpr std::size_t most = 16, cached = 6144;
  const std::size_t fit = cached / K, block = fit < 1 ? 1 : fit < most ? fit : most;
  AheadLines lines(ahead, rows * (K / 32) + 1);
  for (std::size_t row = 0; row < rows; row += block) {
    const std::size_t n = rows - row < block ? rows - row : block;
    alignas(64) float amax[most] = {}, inv[most];
    for (std::size_t i = 0; i < n; ++i) amax[i] = fold_max(gelu_row(x + (row + i) * K, K, lines));
    const RowScales s = row_scales(load(amax));
    store_first(scale + row, s.scale, n);
    store(inv, s.inv);
    for (std::size_t i = 0; i < n; ++i) quantize_row(x + (row + i) * K, q + (row + i) * K, set1(inv[i]), K);
  }
}

}  // namespace
