// The row quantiser over the 16 virtual lanes; include after lanes/<isa>.h.
#pragma once

namespace {

// scale and 1 / scale of rows whose largest magnitudes are the lanes of amax.
struct RowScales {
  f32x16 scale, inv;
};
SANDERLING_LANES RowScales row_scales(f32x16 amax) {
  const mask16 full = at_most(set1(0x1p-100f), amax);
  // An empty row divides by its limit instead of 0.
  const f32x16 divisor = select(full, amax, set1(0x1p-100f));
  return {select(full, div(amax, set1(127.0f)), set1(0.0f)), select(full, div(set1(127.0f), divisor), set1(0.0f))};
}

SANDERLING_LANES float largest(const float* x, std::size_t K) {
  const std::size_t whole = K / 16 * 16, rest = K - whole;
  // Two chains: the maximum does not depend on the order.
  f32x16 top = set1(0.0f), other = set1(0.0f);
  std::size_t i = 0;
  for (; i + 32 <= whole; i += 32) {
    top = max(top, abs(load(x + i)));
    other = max(other, abs(load(x + i + 16)));
  }
  if (i < whole) top = max(top, abs(load(x + i)));
  if (rest) other = max(other, abs(load_first(x + whole, rest)));
  return fold_max(max(top, other));
}

// |x| * fl(127 / amax) is below 127.5 where |x| <= amax, so that the clamp has nothing to do.
SANDERLING_LANES void quantize_row(const float* x, std::int8_t* q, f32x16 inv, std::size_t K) {
  const std::size_t whole = K / 16 * 16, rest = K - whole;
  std::size_t i = 0;
  for (; i + 32 <= whole; i += 32) store_int8(q + i, mul(load(x + i), inv), mul(load(x + i + 16), inv));
  if (i < whole) store_int8(q + i, mul(load(x + i), inv));
  if (rest) store_int8_first(q + whole, mul(load_first(x + whole, rest), inv), rest);
}

// T groups of H rows of K each: row h of group t is at x + t * ldx + h * K, and its integers at q + t * ldq + h * K. Sixteen
// rows share their two divisions.
SANDERLING_LANES void quantize_groups(const float* x, std::size_t ldx, std::int8_t* q, std::size_t ldq, float* scale,
                                      std::size_t lds, std::size_t T, std::size_t H, std::size_t K) {
  constexpr std::size_t batch = 16;
  const std::size_t rows = T * H;
  std::size_t t = 0, h = 0;
  for (std::size_t row = 0; row < rows; row += batch) {
    const std::size_t n = rows - row < batch ? rows - row : batch;
    const float* from[batch];
    std::int8_t* to[batch];
    float* scale_to[batch];
    alignas(64) float amax[batch] = {}, scales[batch], inv[batch];
    for (std::size_t i = 0; i < n; ++i) {
      from[i] = x + t * ldx + h * K;
      to[i] = q + t * ldq + h * K;
      scale_to[i] = scale + t * lds + h;
      amax[i] = largest(from[i], K);
      if (++h == H) {
        h = 0;
        ++t;
      }
    }
    const RowScales s = row_scales(load(amax));
    store(scales, s.scale);
    store(inv, s.inv);
    for (std::size_t i = 0; i < n; ++i) {
      *scale_to[i] = scales[i];
      quantize_row(from[i], to[i], set1(inv[i]), K);
    }
  }
}

SANDERLING_LANES void quantize_rows_lanes(const float* x, std::int8_t* q, float* scale, std::size_t rows,
                                          std::size_t K) {
  quantize_groups(x, K, q, K, scale, 1, rows, 1, K);
}

}  // namespace
