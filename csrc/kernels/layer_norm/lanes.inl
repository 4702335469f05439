// Layer norm over the 16 virtual lanes; include after lanes/<isa>.h.
#pragma once

namespace {

// ROWS rows side by side: a row's sums are chains of additions, and several fill the pipeline. largest: of each row's results, the
// largest magnitude of every lane.
template <int ROWS>
SANDERLING_LANES void layer_norm_block(const float* x, const float* gain, const float* bias, float* y, std::size_t D,
                                       float eps, f32x16 (&largest)[ROWS]) {
  const float count = static_cast<float>(D);
  const std::size_t whole = D / 16 * 16, rest = D - whole;
  f32x16 sum[ROWS], mean[ROWS], rstd[ROWS];
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r) sum[r] = set1(0.0f);
  for (std::size_t i = 0; i < whole; i += 16)
    SANDERLING_UNROLL
    for (int r = 0; r < ROWS; ++r) sum[r] = add(sum[r], load(x + r * D + i));
  // A lane is never -0, so that adding the +0 beyond the row changes no bit.
  if (rest)
    SANDERLING_UNROLL
    for (int r = 0; r < ROWS; ++r) sum[r] = add(sum[r], load_first(x + r * D + whole, rest));
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    mean[r] = set1(fold(sum[r]) / count);
    sum[r] = set1(0.0f);
  }

  for (std::size_t i = 0; i < whole; i += 16)
    SANDERLING_UNROLL
    for (int r = 0; r < ROWS; ++r) {
      const f32x16 c = sub(load(x + r * D + i), mean[r]);
      sum[r] = fma(c, c, sum[r]);
    }
  if (rest)
    SANDERLING_UNROLL
    for (int r = 0; r < ROWS; ++r) {
      const f32x16 c = select(first(rest), sub(load_first(x + r * D + whole, rest), mean[r]), set1(0.0f));
      sum[r] = fma(c, c, sum[r]);
    }
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r) rstd[r] = set1(1.0f / __builtin_sqrtf(fold(sum[r]) / count + eps));

  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r) largest[r] = set1(0.0f);
  for (std::size_t i = 0; i < whole; i += 16) {
    const f32x16 g = load(gain + i), b = load(bias + i);
    SANDERLING_UNROLL
    for (int r = 0; r < ROWS; ++r) {
      const f32x16 result = fma(mul(sub(load(x + r * D + i), mean[r]), rstd[r]), g, b);
      largest[r] = max(largest[r], abs(result));
      store(y + r * D + i, result);
    }
  }
  if (rest) {
    const f32x16 g = load_first(gain + whole, rest), b = load_first(bias + whole, rest);
    SANDERLING_UNROLL
    for (int r = 0; r < ROWS; ++r) {
      const f32x16 result = fma(mul(sub(load_first(x + r * D + whole, rest), mean[r]), rstd[r]), g, b);
      largest[r] = max(largest[r], select(first(rest), abs(result), set1(0.0f)));
      store_first(y + r * D + whole, result, rest);
    }
  }
}

// amax [rows]: the largest magnitude of each row's results, or nullptr.
SANDERLING_LANES void layer_norm_lanes(const float* x, const float* gain, const float* bias, float* y,
                                       std::size_t rows, std::size_t D, float eps, float* amax) {
  std::size_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    f32x16 largest[4];
    layer_norm_block<4>(x + row * D, gain, bias, y + row * D, D, eps, largest);
    if (amax)
      for (std::size_t r = 0; r < 4; ++r) amax[row + r] = fold_max(largest[r]);
  }
  for (; row < rows; ++row) {
    f32x16 largest[1];
    layer_norm_block<1>(x + row * D, gain, bias, y + row * D, D, eps, largest);
    if (amax) amax[row] = fold_max(largest[0]);
  }
}

}  // namespace
