// The walk over register tiles of the tiers with vpdpbusd, on the layout of offset4.inl. The ISA file defines before it
//   i32x16, zero(), broadcast4(a) (4 bytes in every lane), dot(acc, w, a) (acc + 64 bytes of w . a), to_float(acc, correction),
//   row_sum(a, K), and Widths: the blocks of 16 channels that a tile of 1, 2, 4 and 8 rows takes at once.
#include "kernels/qgemm/finish.inl"
#include "kernels/qgemm/offset4.inl"

namespace {

// ROWS rows x BLOCKS blocks of 16 channels, of which the first `columns` exist; a block is 16 * depth bytes.
template <int ROWS, int BLOCKS>
void tile_run(const Tile& tile, const std::int32_t* sums, std::size_t depth, std::size_t columns) {
  i32x16 acc[ROWS][BLOCKS];
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    SANDERLING_UNROLL
    for (int b = 0; b < BLOCKS; ++b) acc[r][b] = zero();
  }
  for (std::size_t k = 0; k < tile.K; k += 4) {
    const std::int8_t* w = tile.w + 16 * k;
    SANDERLING_UNROLL
    for (int r = 0; r < ROWS; ++r) {
      const auto a = broadcast4(tile.a + r * tile.K + k);
      SANDERLING_UNROLL
      for (int b = 0; b < BLOCKS; ++b) acc[r][b] = dot(acc[r][b], w + b * 16 * depth, a);
    }
  }
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    SANDERLING_UNROLL
    for (int b = 0; b < BLOCKS; ++b) finish(tile, r, 16 * b, columns - 16 * b, to_float(acc[r][b], 128 * sums[r]));
  }
}

struct Product {
  const std::int8_t* a;
  const float* a_scale;
  const std::int8_t* w;
  const float *w_scale, *bias;
  float* y;
  std::size_t ldy, N, K, depth;
  bool add;

  Tile tile(std::size_t m, std::size_t n) const {
    return {a + m * K, a_scale + m, w + n * depth, w_scale + n, bias ? bias + n : nullptr, y + m * ldy + n, ldy, K, add};
  }
};

// Rows [from, to) of the columns from n on, BLOCKS blocks at least in part. Returns the first row left.
template <int ROWS, int BLOCKS>
void rows_run(const Product& p, const std::int32_t* sums, std::size_t from, std::size_t to, std::size_t n) {
  for (std::size_t m = from; m < to; m += ROWS) tile_run<ROWS, BLOCKS>(p.tile(m, n), sums + m, p.depth, p.N - n);
}

// Whole groups of BLOCKS blocks, then the smaller rest.
template <int ROWS, int BLOCKS>
void columns_run(const Product& p, const std::int32_t* sums, std::size_t from, std::size_t to, std::size_t n) {
  if constexpr (BLOCKS > 0) {
    // The last block of a group needs at least one channel.
    for (; n + 16 * (BLOCKS - 1) < p.N; n += 16 * BLOCKS) rows_run<ROWS, BLOCKS>(p, sums, from, to, n);
    columns_run<ROWS, BLOCKS - 1>(p, sums, from, to, n);
  }
}

template <int ROWS>
std::size_t panel_run(const Product& p, const std::int32_t* sums, std::size_t from, std::size_t rows) {
  const std::size_t to = rows - (rows - from) % ROWS;
  if (to > from) columns_run<ROWS, Widths::of(ROWS)>(p, sums, from, to, 0);
  return to;
}

// Channels outside, rows inside: a block of weights stays in L1 while a panel of rows passes.
SANDERLING_LANES void vnni_run(Product p, std::size_t M) {
  constexpr std::size_t panel = 128;
  std::int32_t sums[panel];
  for (std::size_t done = 0; done < M; done += panel) {
    const std::size_t rows = M - done < panel ? M - done : panel;
    for (std::size_t m = 0; m < rows; ++m) sums[m] = row_sum(p.a + m * p.K, p.K);
    std::size_t m = panel_run<8>(p, sums, 0, rows);
    m = panel_run<4>(p, sums, m, rows);
    m = panel_run<2>(p, sums, m, rows);
    panel_run<1>(p, sums, m, rows);
    p.a += rows * p.K;
    p.a_scale += rows;
    p.y += rows * p.ldy;
  }
}

}  // namespace
