// Tiles of up to 16 rows x 64 bytes. A block of offset4.inl is a tile of weights for every 64 k, so that K is padded to a multiple of 64
// with zeros. Few rows go to vpdpbusd on the same layout: there the way of the weights is the limit. So does a K below 64, where the
// way of y is; it isn't padded, as zeros would be three quarters of the short memory.
#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"
#include "kernels/qgemm/vnni512.inl"

namespace {

constexpr std::size_t tile_rows = 16, tile_bytes = 64, least_rows = 4, panel = 128;
// Bytes of weights from which on a model's don't stay in L2.
constexpr std::size_t fetch_least = 1 << 17;

// The compiler's tile intrinsics don't say that they read memory: what was written before must be there.
SANDERLING_LANES void written() { __asm__ volatile("" ::: "memory"); }

// The layout that LDTILECFG reads, palette 1: sums in tiles 0-3, activations in 4, weights in 5-7; with two tiles of rows
// activations in 4 and 5.
struct alignas(64) TileConfig {
  std::uint8_t palette, start_row, reserved[14];
  std::uint16_t bytes[16];
  std::uint8_t rows[16];
};

// Up to tile_rows rows of a, and what undoes the weights' offset in their sums. The last step of a's last rows would read beyond a:
// it comes from a copy.
struct Rows {
  const std::int8_t *a, *last;
  std::size_t stride, last_stride;
  const std::int32_t* starts;
  std::size_t at, skip;  // the first row, and how many are another tile's
};

struct Activations {
  const std::int8_t* from;
  std::size_t stride;
};

SANDERLING_LANES Activations step(const Rows& rows, std::size_t k, std::size_t depth) {
  if (k + tile_bytes == depth) return {rows.last, rows.last_stride};
  return {rows.a + k, rows.stride};
}

// Two tiles of rows x two blocks of channels into tiles 0-3. Each step brings `fetched` lines from `ahead` on to L2.
SANDERLING_LANES void multiply_two(const Rows* rows, const std::int8_t* w, std::size_t depth, std::size_t fetched, const std::int8_t* ahead) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  const std::int8_t* next = w + 16 * depth;
  for (std::size_t k = 0; k < depth; k += tile_bytes) {
    const Activations upper = step(rows[0], k, depth), lower = step(rows[1], k, depth);
    _tile_loadd(6, w + 16 * k, tile_bytes);
    _tile_loadd(4, upper.from, upper.stride);
    _tile_dpbsud(0, 4, 6);
    _tile_loadd(7, next + 16 * k, tile_bytes);
    _tile_dpbsud(1, 4, 7);
    _tile_loadd(5, lower.from, lower.stride);
    _tile_dpbsud(2, 5, 6);
    _tile_dpbsud(3, 5, 7);
    for (std::size_t i = 0; i < fetched; ++i, ahead += 64) __builtin_prefetch(ahead, 0, 2);
  }
}

// One tile of rows x four blocks.
SANDERLING_LANES void multiply_one(const Rows& rows, const std::int8_t* w, std::size_t depth) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::size_t k = 0; k < depth; k += tile_bytes) {
    const Activations a = step(rows, k, depth);
    const std::int8_t* at = w + 16 * k;
    _tile_loadd(4, a.from, a.stride);
    _tile_loadd(5, at, tile_bytes);
    _tile_dpbsud(0, 4, 5);
    _tile_loadd(6, at + 16 * depth, tile_bytes);
    _tile_dpbsud(1, 4, 6);
    _tile_loadd(7, at + 32 * depth, tile_bytes);
    _tile_dpbsud(2, 4, 7);
    _tile_loadd(5, at + 48 * depth, tile_bytes);
    _tile_dpbsud(3, 4, 5);
  }
}

// One block alone.
SANDERLING_LANES void multiply_block(const Rows& rows, const std::int8_t* w, std::size_t depth) {
  _tile_zero(0);
  for (std::size_t k = 0; k < depth; k += tile_bytes) {
    const Activations a = step(rows, k, depth);
    _tile_loadd(4, a.from, a.stride);
    _tile_loadd(5, w + 16 * k, tile_bytes);
    _tile_dpbsud(0, 4, 5);
  }
}

using TileSums = std::int32_t[tile_rows][16];

SANDERLING_LANES void store_tiles(TileSums* sums) {
  _tile_stored(0, sums[0], tile_bytes);
  _tile_stored(1, sums[1], tile_bytes);
  _tile_stored(2, sums[2], tile_bytes);
  _tile_stored(3, sums[3], tile_bytes);
}

// What BLOCKS tiles beside one another become, from column n on. Everything in here stays in registers: a product with few steps of k
// takes as long as this.
template <bool ADD, int BLOCKS>
SANDERLING_LANES void tiles_to_y(const Product& p, const Rows& rows, std::size_t height, const TileSums* sums, std::size_t n) {
  const Tile tile = p.tile(rows.at, n);
  const std::int32_t* starts = rows.starts;
  Columns part[BLOCKS];
  SANDERLING_UNROLL
  for (std::size_t b = 0; b < BLOCKS; ++b) part[b] = columns_at(tile, 16 * b, p.N - n - 16 * b);
  const auto row_to_y = [&](std::size_t r) {
    const __m512i start = _mm512_set1_epi32(starts[r]);
    SANDERLING_UNROLL
    for (std::size_t b = 0; b < BLOCKS; ++b)
      finish<ADD>(tile, part[b], r, to_float(_mm512_add_epi32(_mm512_load_si512(sums[b][r]), start)));
  };
  if (height == tile_rows && rows.skip == 0) {
    SANDERLING_UNROLL
    for (std::size_t r = 0; r < tile_rows; ++r) row_to_y(r);
  } else {
    for (std::size_t r = rows.skip; r < height; ++r) row_to_y(r);
  }
}

// Channels outside, rows inside: weights stay in L1 while the rows pass, and the next ones come to L2 meanwhile.
template <bool ADD, int ROW_TILES>
void columns_of_tiles(const Product& p, const Rows* tiles, std::size_t count, std::size_t height) {
  constexpr std::size_t blocks = ROW_TILES == 2 ? 2 : 4, step = 16 * blocks;
  alignas(64) TileSums sums[4];
  const std::size_t groups = count / ROW_TILES;
  const std::size_t fetched = groups > 1 && p.N * p.depth >= fetch_least ? (step + groups - 1) / groups : 0;
  std::size_t n = 0;
  for (; n + 16 * (blocks - 1) < p.N; n += step) {
    const std::int8_t* ahead = p.w + (n + step) * p.depth;
    for (const Rows* rows = tiles; rows < tiles + count; rows += ROW_TILES) {
      if (ROW_TILES == 2)
        multiply_two(rows, p.w + n * p.depth, p.depth, fetched, ahead);
      else
        multiply_one(rows[0], p.w + n * p.depth, p.depth);
      ahead += fetched * p.depth;
      store_tiles(sums);
      for (std::size_t i = 0; i < ROW_TILES; ++i) tiles_to_y<ADD, blocks>(p, rows[i], height, sums + i * blocks, n);
    }
  }
  for (; n < p.N; n += 16)
    for (const Rows* rows = tiles; rows < tiles + count; ++rows) {
      multiply_block(*rows, p.w + n * p.depth, p.depth);
      _tile_stored(0, sums[0], tile_bytes);
      tiles_to_y<ADD, 1>(p, *rows, height, sums, n);
    }
}

// Rows that fill no tile are reached by a tile that overlaps the one before.
template <bool ADD>
void panel_of_tiles(const Product& p, std::size_t rows, std::size_t height, const std::int32_t* starts) {
  alignas(64) std::int8_t copy[tile_rows * tile_bytes] = {};
  const std::size_t rest = p.K % tile_bytes;
  for (std::size_t r = 0; rest && r < height; ++r)
    __builtin_memcpy(copy + r * tile_bytes, p.a + (rows - height + r + 1) * p.K - rest, rest);
  Rows of[panel / tile_rows + 1];
  std::size_t count = 0;
  for (std::size_t m = 0; m < rows; m += tile_rows) {
    Rows& tile = of[count++];
    tile.at = m + height > rows ? rows - height : m;
    tile.skip = m - tile.at;
    tile.a = p.a + tile.at * p.K;
    const bool copied = rest && tile.at + height == rows;
    tile.last = copied ? copy : tile.a + p.depth - tile_bytes;
    tile.stride = p.K;
    tile.last_stride = copied ? tile_bytes : p.K;
    tile.starts = starts + tile.at;
  }
  written();
  const std::size_t pairs = count / 2 * 2;
  columns_of_tiles<ADD, 2>(p, of, pairs, height);
  if (count > pairs) columns_of_tiles<ADD, 1>(p, of + pairs, 1, height);
}

}  // namespace

namespace sanderling {

std::size_t qgemm_size_amx(std::size_t N, std::size_t K) {
  return K < tile_bytes ? offset4_size<4>(N, K) : offset4_size<tile_bytes>(N, K);
}

void qgemm_pack_amx(const std::int8_t* w, std::size_t N, std::size_t K, void* packed) {
  if (K < tile_bytes)
    offset4_pack<4>(w, N, K, packed);
  else
    offset4_pack<tile_bytes>(w, N, K, packed);
}

void qgemm_run_amx(const std::int8_t* a, const float* a_scale, const void* packed, const float* w_scale, const float* bias,
                   float* y, std::size_t ldy, std::size_t M, std::size_t N, std::size_t K, bool add) {
  const std::size_t depth = K < tile_bytes ? K : offset4_depth<tile_bytes>(K);
  Product p{a, a_scale, static_cast<const std::int8_t*>(packed), w_scale, bias, y, ldy, N, K, depth, add};
  if (M < least_rows || K < tile_bytes) {
    panels_run(p, M);
    return;
  }
  const std::size_t height = M < tile_rows ? M : tile_rows;
  TileConfig config = {1, 0, {}, {}, {}};
  for (std::size_t i = 0; i < 8; ++i) {
    config.bytes[i] = tile_bytes;
    config.rows[i] = tile_rows;
  }
  // With a full height every tile has 16 rows; with less there is one tile of rows, and no activations in tile 5.
  for (std::size_t i = 0; i < 5; ++i) config.rows[i] = static_cast<std::uint8_t>(height);
  written();
  // Configured and released here, so that every thread may call and none carries tiles through a context switch.
  _tile_loadconfig(&config);
  // The tiles' unit sleeps after a microsecond and takes a quarter to wake: that passes beside the rows' sums.
  _tile_dpbsud(0, 4, 6);
  std::int32_t starts[panel + tile_rows];
  for (std::size_t left = M; left > 0;) {
    // The last panel takes what is too little for a tile.
    const std::size_t rows = left < panel + tile_rows ? left : panel;
    row_starts(p.a, rows, K, starts);
    if (add)
      panel_of_tiles<true>(p, rows, height, starts);
    else
      panel_of_tiles<false>(p, rows, height, starts);
    p.a += rows * K;
    p.a_scale += rows;
    p.y += rows * ldy;
    left -= rows;
  }
  _tile_release();
}

}  // namespace sanderling
