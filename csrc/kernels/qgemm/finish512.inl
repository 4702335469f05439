// How 16 sums become y, with masks instead of branches; include after lanes/avx512.h.
#include "kernels/qgemm/tile.inl"

namespace {

// The 16 columns from `from`, of which `count` exist.
struct Columns {
  __m512 w_scale, bias;
  std::size_t from;
  __mmask16 there;
};

SANDERLING_LANES Columns columns_at(const Tile& tile, std::size_t from, std::size_t count) {
  const __mmask16 there = first(count < 16 ? count : 16).all;
  const __m512 bias = tile.bias ? _mm512_maskz_loadu_ps(there, tile.bias + from) : _mm512_setzero_ps();
  return {_mm512_maskz_loadu_ps(there, tile.w_scale + from), bias, from, there};
}

template <bool ADD>
SANDERLING_LANES void finish(const Tile& tile, const Columns& part, std::size_t row, f32x16 acc) {
  float* y = tile.y + row * tile.ldy + part.from;
  __m512 value = _mm512_fmadd_ps(acc.all, _mm512_mul_ps(_mm512_set1_ps(tile.a_scale[row]), part.w_scale), part.bias);
  if (ADD) value = _mm512_add_ps(_mm512_maskz_loadu_ps(part.there, y), value);
  _mm512_mask_storeu_ps(y, part.there, value);
}

}  // namespace
