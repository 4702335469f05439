// The walk over panels of rows and register tiles, on blocks of 16 channels x 4 k. The ISA file defines before it
//   i32x16, all(value), broadcast4(a) (4 bytes in every lane), dot(acc, w, a) (acc + 64 bytes of w . a), to_float(acc),
//   columns_at and finish (finish.inl, finish512.inl), row_starts(a, rows, K, starts): where each row's sums start, which undoes an offset of the weights,
//   Widths: the blocks that a tile of 8, 6, 4, 2 and 1 rows takes at once, 0 for a height that the tier leaves to the lower ones.
namespace {

template <bool ADD, int ROWS, int BLOCKS>
SANDERLING_LANES void tile_finish(const Tile& tile, const i32x16 (&acc)[ROWS][BLOCKS], std::size_t columns) {
  SANDERLING_UNROLL
  for (int b = 0; b < BLOCKS; ++b) {
    const Columns part = columns_at(tile, 16 * b, columns - 16 * b);
    SANDERLING_UNROLL
    for (int r = 0; r < ROWS; ++r) finish<ADD>(tile, part, r, to_float(acc[r][b]));
  }
}

// ROWS rows x BLOCKS blocks of 16 channels, of which the first `columns` exist; a block is 16 * depth bytes. FETCH: the next blocks are
// brought to L2 meanwhile.
template <int ROWS, int BLOCKS, bool FETCH>
void tile_run(const Tile& tile, const std::int32_t* starts, std::size_t depth, std::size_t columns) {
  i32x16 acc[ROWS][BLOCKS];
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    SANDERLING_UNROLL
    for (int b = 0; b < BLOCKS; ++b) acc[r][b] = all(starts[r]);
  }
  // Steps of 16 k, so that the loop itself costs little: K is a multiple of 16.
  for (std::size_t from = 0; from < tile.K; from += 16) {
    SANDERLING_UNROLL
    for (std::size_t k = from; k < from + 16; k += 4) {
      const std::int8_t* w = tile.w + 16 * k;
      if (FETCH) {
        SANDERLING_UNROLL
        for (int b = 0; b < BLOCKS; ++b) __builtin_prefetch(w + (BLOCKS + b) * 16 * depth, 0, 2);
      }
      SANDERLING_UNROLL
      for (int r = 0; r < ROWS; ++r) {
        const auto a = broadcast4(tile.a + r * tile.K + k);
        SANDERLING_UNROLL
        for (int b = 0; b < BLOCKS; ++b) acc[r][b] = dot(acc[r][b], w + b * 16 * depth, a);
      }
    }
  }
  if (tile.add)
    tile_finish<true, ROWS, BLOCKS>(tile, acc, columns);
  else
    tile_finish<false, ROWS, BLOCKS>(tile, acc, columns);
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

// Rows [from, to) of the columns from n on, BLOCKS blocks at least in part.
template <int ROWS, int BLOCKS>
void rows_run(const Product& p, const std::int32_t* starts, std::size_t from, std::size_t to, std::size_t n) {
  // Many rows are slow enough for weights from beyond L2 to come in time, while the first of them pass.
  constexpr bool fetch = ROWS == 8;
  tile_run<ROWS, BLOCKS, fetch>(p.tile(from, n), starts + from, p.depth, p.N - n);
  for (std::size_t m = from + ROWS; m < to; m += ROWS) tile_run<ROWS, BLOCKS, false>(p.tile(m, n), starts + m, p.depth, p.N - n);
}

// Whole groups of BLOCKS blocks, then the smaller rest.
template <int ROWS, int BLOCKS>
void columns_run(const Product& p, const std::int32_t* starts, std::size_t from, std::size_t to, std::size_t n) {
  if constexpr (BLOCKS > 0) {
    // The last block of a group needs at least one channel.
    for (; n + 16 * (BLOCKS - 1) < p.N; n += 16 * BLOCKS) rows_run<ROWS, BLOCKS>(p, starts, from, to, n);
    columns_run<ROWS, BLOCKS - 1>(p, starts, from, to, n);
  }
}

// Returns the first row left.
template <int ROWS>
std::size_t panel_run(const Product& p, const std::int32_t* starts, std::size_t from, std::size_t rows) {
  if (Widths::of(ROWS) == 0) return from;
  const std::size_t to = rows - (rows - from) % ROWS;
  // Channels outside, rows inside: a block of weights stays in L1 while the rows pass. With a small K the way of y to memory is the
  // longer one: it is written along its rows.
  const std::size_t step = p.K <= 32 ? ROWS : to - from;
  for (std::size_t m = from; m < to; m += step) columns_run<ROWS, Widths::of(ROWS)>(p, starts, m, m + step, 0);
  return to;
}

// A panel of rows at a time, in tiles as high as fit.
SANDERLING_LANES void panels_run(Product p, std::size_t M) {
  constexpr std::size_t panel = 128;
  std::int32_t starts[panel];
  for (std::size_t done = 0; done < M; done += panel) {
    const std::size_t rows = M - done < panel ? M - done : panel;
    row_starts(p.a, rows, p.K, starts);
    std::size_t m = panel_run<8>(p, starts, 0, rows);
    m = panel_run<6>(p, starts, m, rows);
    m = panel_run<4>(p, starts, m, rows);
    m = panel_run<2>(p, starts, m, rows);
    panel_run<1>(p, starts, m, rows);
    p.a += rows * p.K;
    p.a_scale += rows;
    p.y += rows * p.ldy;
  }
}

}  // namespace
