// Full attention in tiles: sixteen queries by sixteen keys a product, sixteen queries' weights by 64 keys' values. Windows, and texts
// shorter than a tile, go to vpdpbusd.
#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"
#include "kernels/attention/row_at.inl"
#include "kernels/lanes/exp32.inl"

namespace {

constexpr std::size_t full_queries = 16, full_depth = 64, tile_bytes = 64;

// The tiles' sums.
SANDERLING_LANES f32x16 full_logit(const float* at) { return {_mm512_cvtepi32_ps(_mm512_loadu_si512(at))}; }

// After a microsecond without products the tiles' unit sleeps, and takes a quarter to wake: the sums of tile 3 are nobody's.
SANDERLING_LANES void full_awake(std::size_t n) {
  if (n >= 96) _tile_dpbssd(3, 4, 5);
}

constexpr char key_offset = 0;

}  // namespace

#include "kernels/attention/full.inl"
#include "kernels/attention/pack512.inl"

namespace {

// The compiler's tile intrinsics don't say that they read memory: what was written before must be there.
SANDERLING_LANES void written() { __asm__ volatile("" ::: "memory"); }

inline bool full_fits(std::size_t D) { return D == 32 || D == 64; }

// Sums in tiles 0-3, queries in 4, keys in 5; weights in 6, values in 7. A row of queries or a column of keys is D bytes.
void configure(std::size_t D) {
  struct alignas(64) {
    std::uint8_t palette, start_row, reserved[14];
    std::uint16_t bytes[16];
    std::uint8_t rows[16];
  } config = {1, 0, {}, {}, {}};
  for (std::size_t i = 0; i < 8; ++i) {
    config.bytes[i] = tile_bytes;
    config.rows[i] = 16;
  }
  config.bytes[4] = static_cast<std::uint16_t>(D);
  config.rows[5] = static_cast<std::uint8_t>(D / 4);
  written();
  _tile_loadconfig(&config);
}

void full_dots(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h) {
  const std::size_t row = args.H * args.D, stride = head.padded * sizeof(float), block = 16 * args.D;
  const std::uint8_t* keys = head.keys;
  std::size_t j = 0;
  written();
  _tile_loadd(4, args.q + t * row + h * args.D, row);
  for (; j + 32 <= head.padded; j += 32, keys += 2 * block) {
    _tile_zero(0);
    _tile_loadd(5, keys, tile_bytes);
    _tile_dpbssd(0, 4, 5);
    _tile_zero(1);
    _tile_loadd(5, keys + block, tile_bytes);
    _tile_dpbssd(1, 4, 5);
    _tile_stored(0, head.logit + j, stride);
    _tile_stored(1, head.logit + j + 16, stride);
  }
  if (j < head.padded) {
    _tile_zero(0);
    _tile_loadd(5, keys, tile_bytes);
    _tile_dpbssd(0, 4, 5);
    _tile_stored(0, head.logit + j, stride);
  }
}

void full_weigh(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h, std::size_t first,
                const float (&factor)[full_queries]) {
  const std::size_t row = args.H * args.D;
  // 64-bit pairs of the two tiles' rows, in the order of d.
  const __m512i low = _mm512_set_epi64(13, 12, 9, 8, 5, 4, 1, 0), high = _mm512_set_epi64(15, 14, 11, 10, 7, 6, 3, 2);
  written();
  for (std::size_t part = 0; part < args.D / 32; ++part) {
    const std::int8_t* values = head.values + part * head.deep * 32;
    _tile_zero(0);
    _tile_zero(1);
    for (std::size_t j = 0; j < head.deep; j += 64, values += 64 * 32) {
      _tile_loadd(6, head.p + j, head.padded);
      _tile_loadd(7, values, 2 * tile_bytes);
      _tile_dpbusd(0, 6, 7);
      _tile_loadd(7, values + tile_bytes, 2 * tile_bytes);
      _tile_dpbusd(1, 6, 7);
    }
    alignas(64) std::int32_t sums[full_queries][2][16];
    _tile_stored(0, sums[0][0], sizeof sums[0]);
    _tile_stored(1, sums[0][1], sizeof sums[0]);
    for (std::size_t i = first; i < full_queries; ++i) {
      float* out = args.out + (t + i) * row + h * args.D + 32 * part;
      const __m512i a = _mm512_load_si512(sums[i][0]), b = _mm512_load_si512(sums[i][1]);
      const __m512 f = _mm512_set1_ps(factor[i]);
      _mm512_storeu_ps(out, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_permutex2var_epi64(a, low, b)), f));
      _mm512_storeu_ps(out + 16, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_permutex2var_epi64(a, high, b)), f));
    }
  }
}

}  // namespace

namespace sanderling {

attention_fn attention_avx512vnni;

void attention_amx(const AttentionArgs& args) {
  // Configured and released here, so that every thread may call and none carries tiles through a context switch.
  if (args.window == 0 && args.T >= full_queries && full_fits(args.D)) {
    configure(args.D);
    const bool ran = attention_full_ran(args);
    _tile_release();
    if (ran) return;
  }
  attention_avx512vnni(args);
}

}  // namespace sanderling
