// Tiles of 16 rows x 64 bytes. A block of offset4.inl is a tile of weights for every 64 k, so that K is padded to 64 with zeros.
// Few rows go to vpdpbusd on the same layout: there the weights' way from L2 is the limit.
#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"
#include "kernels/qgemm/vnni512.inl"

namespace {

constexpr std::size_t tile_rows = 16, tile_bytes = 64;

// The layout that LDTILECFG reads, palette 1.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {tile_bytes, tile_bytes, tile_bytes, tile_bytes, tile_bytes, tile_bytes, tile_bytes, tile_bytes};
  std::uint8_t rows[16] = {tile_rows, tile_rows, tile_rows, tile_rows, tile_rows, tile_rows, tile_rows, tile_rows};
};

// 16 rows of a from row m on. The last step of the last rows would read beyond a: it comes from a copy.
struct Rows {
  const std::int8_t* a;
  const std::int8_t* last;
  std::size_t stride, last_stride;
};

// Tiles 0-3 += rows [2] x blocks [2] over `depth` k; the second of rows or blocks only where asked for.
template <int ROW_TILES, int BLOCKS>
void tiles_multiply(const Rows* rows, const std::int8_t* w, std::size_t depth) {
  _tile_zero(0);
  if (BLOCKS == 2) _tile_zero(1);
  if (ROW_TILES == 2) _tile_zero(2);
  if (ROW_TILES == 2 && BLOCKS == 2) _tile_zero(3);
  for (std::size_t k = 0; k < depth; k += tile_bytes) {
    const bool last = k + tile_bytes == depth;
    _tile_loadd(6, w + 16 * k, tile_bytes);
    if (BLOCKS == 2) _tile_loadd(7, w + 16 * depth + 16 * k, tile_bytes);
    _tile_loadd(4, last ? rows[0].last : rows[0].a + k, last ? rows[0].last_stride : rows[0].stride);
    _tile_dpbsud(0, 4, 6);
    if (BLOCKS == 2) _tile_dpbsud(1, 4, 7);
    if (ROW_TILES == 1) continue;
    _tile_loadd(5, last ? rows[1].last : rows[1].a + k, last ? rows[1].last_stride : rows[1].stride);
    _tile_dpbsud(2, 5, 6);
    if (BLOCKS == 2) _tile_dpbsud(3, 5, 7);
  }
}

// Rows [skip, 16) of a tile of sums whose first row is `tile`'s.
SANDERLING_LANES void tile_finish(const Tile& tile, const std::int32_t* acc, const std::int32_t* sums, std::size_t skip,
                                  std::size_t from, std::size_t columns) {
  for (std::size_t r = skip; r < tile_rows; ++r)
    finish(tile, r, from, columns - from, to_float(_mm512_load_si512(acc + 16 * r), 128 * sums[r]));
}

template <int ROW_TILES, int BLOCKS>
void pair_run(const Product& p, const Rows* rows, const std::size_t* at, const std::size_t* skip, const std::int32_t* sums,
              std::size_t n) {
  alignas(64) std::int32_t acc[4][16 * tile_rows];
  tiles_multiply<ROW_TILES, BLOCKS>(rows, p.w + n * p.depth, p.depth);
  _tile_stored(0, acc[0], tile_bytes);
  if (BLOCKS == 2) _tile_stored(1, acc[1], tile_bytes);
  if (ROW_TILES == 2) _tile_stored(2, acc[2], tile_bytes);
  if (ROW_TILES == 2 && BLOCKS == 2) _tile_stored(3, acc[3], tile_bytes);
  for (int i = 0; i < ROW_TILES; ++i)
    for (int b = 0; b < BLOCKS; ++b)
      tile_finish(p.tile(at[i], n), acc[2 * i + b], sums + at[i], skip[i], 16 * b, p.N - n);
}

template <int ROW_TILES>
void columns_of_tiles(const Product& p, const Rows* rows, const std::size_t* at, const std::size_t* skip,
                      const std::int32_t* sums) {
  std::size_t n = 0;
  for (; n + 16 < p.N; n += 32) pair_run<ROW_TILES, 2>(p, rows, at, skip, sums, n);
  if (n < p.N) pair_run<ROW_TILES, 1>(p, rows, at, skip, sums, n);
}

// A panel of 16 rows or more. Rows that fill no tile are reached by a tile that overlaps the one before.
void panel_of_tiles(const Product& p, std::size_t rows, const std::int32_t* sums) {
  alignas(64) std::int8_t copy[tile_rows * tile_bytes] = {};
  const std::size_t rest = p.K % tile_bytes;
  for (std::size_t r = 0; rest && r < tile_rows; ++r)
    __builtin_memcpy(copy + r * tile_bytes, p.a + (rows - tile_rows + r + 1) * p.K - rest, rest);
  for (std::size_t m = 0; m < rows; m += 2 * tile_rows) {
    Rows of[2];
    std::size_t at[2], skip[2];
    const int count = m + tile_rows < rows ? 2 : 1;
    for (int i = 0; i < count; ++i) {
      const std::size_t wanted = m + static_cast<std::size_t>(i) * tile_rows;
      at[i] = wanted + tile_rows > rows ? rows - tile_rows : wanted;
      skip[i] = wanted - at[i];
      const bool copied = rest && at[i] + tile_rows == rows;
      const std::int8_t* from = p.a + at[i] * p.K;
      of[i] = {from, copied ? copy : from + p.depth - tile_bytes, p.K, copied ? tile_bytes : p.K};
    }
    if (count == 2)
      columns_of_tiles<2>(p, of, at, skip, sums);
    else
      columns_of_tiles<1>(p, of, at, skip, sums);
  }
}

}  // namespace

namespace sanderling {

std::size_t qgemm_size_amx(std::size_t N, std::size_t K) { return offset4_size<tile_bytes>(N, K); }

void qgemm_pack_amx(const std::int8_t* w, std::size_t N, std::size_t K, void* packed) {
  offset4_pack<tile_bytes>(w, N, K, packed);
}

void qgemm_run_amx(const std::int8_t* a, const float* a_scale, const void* packed, const float* w_scale, const float* bias,
                   float* y, std::size_t ldy, std::size_t M, std::size_t N, std::size_t K, bool add) {
  Product p{a, a_scale, static_cast<const std::int8_t*>(packed), w_scale, bias, y, ldy, N, K, offset4_depth<tile_bytes>(K), add};
  if (M < tile_rows) {
    vnni_run(p, M);
    return;
  }
  constexpr std::size_t panel = 128;
  std::int32_t sums[panel + tile_rows];
  // Configured and released here, so that every thread may call and none carries tiles through a context switch.
  const TileConfig config;
  _tile_loadconfig(&config);
  for (std::size_t left = M; left > 0;) {
    // The last panel takes what is too little for a tile.
    const std::size_t rows = left < panel + tile_rows ? left : panel;
    for (std::size_t m = 0; m < rows; ++m) sums[m] = row_sum(p.a + m * K, K);
    panel_of_tiles(p, rows, sums);
    p.a += rows * K;
    p.a_scale += rows;
    p.y += rows * ldy;
    left -= rows;
  }
  _tile_release();
}

}  // namespace sanderling
