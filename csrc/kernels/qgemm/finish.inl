// How 16 sums become y; include after lanes/<isa>.h.
#include "kernels/qgemm/tile.inl"

namespace {

// The 16 columns from `from`, of which `count` exist.
struct Columns {
  f32x16 w_scale, bias;
  std::size_t from, count;
};

SANDERLING_LANES Columns columns_at(const Tile& tile, std::size_t from, std::size_t count) {
  const float *w_scale = tile.w_scale + from, *bias = tile.bias ? tile.bias + from : nullptr;
  if (count >= 16) return {load(w_scale), bias ? load(bias) : set1(0.0f), from, count};
  return {load_first(w_scale, count), bias ? load_first(bias, count) : set1(0.0f), from, count};
}

template <bool ADD>
SANDERLING_LANES void finish(const Tile& tile, const Columns& part, std::size_t row, f32x16 acc) {
  float* y = tile.y + row * tile.ldy + part.from;
  const f32x16 value = fma(acc, mul(set1(tile.a_scale[row]), part.w_scale), part.bias);
  if (part.count >= 16)
    store(y, ADD ? add(load(y), value) : value);
  else
    store_first(y, ADD ? add(load_first(y, part.count), value) : value, part.count);
}

}  // namespace
