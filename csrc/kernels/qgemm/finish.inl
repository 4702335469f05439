// What a tile needs and how its sums become y, for the tiers whose blocks are 16 channels; include after lanes/<isa>.h.
namespace {

struct Tile {
  const std::int8_t* a;
  const float* a_scale;
  const std::int8_t* w;
  const float *w_scale, *bias;
  float* y;
  std::size_t ldy, K;
  bool add;
};

// One row and the 16 columns from `from`, of which `columns` exist.
SANDERLING_LANES void finish(const Tile& tile, std::size_t row, std::size_t from, std::size_t columns, f32x16 acc) {
  const f32x16 a_scale = set1(tile.a_scale[row]);
  float* y = tile.y + row * tile.ldy + from;
  if (columns >= 16) {
    const f32x16 bias = tile.bias ? load(tile.bias + from) : set1(0.0f);
    const f32x16 value = fma(acc, mul(a_scale, load(tile.w_scale + from)), bias);
    store(y, tile.add ? add(load(y), value) : value);
  } else {
    const f32x16 bias = tile.bias ? load_first(tile.bias + from, columns) : set1(0.0f);
    const f32x16 value = fma(acc, mul(a_scale, load_first(tile.w_scale + from, columns)), bias);
    store_first(y, tile.add ? add(load_first(y, columns), value) : value, columns);
  }
}

}  // namespace
