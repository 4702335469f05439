#include "kernels/kernels.h"
#include "kernels/lanes/neon.h"

// Packed: groups of 4 output channels; inside a group, for every 16 consecutive k, 64 bytes = 4 channels x 16 k.
// Channels beyond N are zero.

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

// SMULL + SMLAL stay inside int16: 2 * 127 * 127 = 32,258.
SANDERLING_LANES int32x4_t dot16(int32x4_t acc, int8x16_t a, int8x16_t w) {
  const int16x8_t products = vmull_s8(vget_low_s8(a), vget_low_s8(w));
  return vpadalq_s16(acc, vmlal_high_s8(products, a, w));
}

SANDERLING_LANES void finish(const Tile& tile, std::size_t row, std::size_t from, std::size_t columns,
                             const int32x4_t sums[4]) {
  const int32x4_t acc = vpaddq_s32(vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3]));
  const float32x4_t scale = vmulq_f32(vdupq_n_f32(tile.a_scale[row]), load4_first(tile.w_scale + from, columns));
  const float32x4_t bias = tile.bias ? load4_first(tile.bias + from, columns) : vdupq_n_f32(0.0f);
  float* y = tile.y + row * tile.ldy + from;
  float32x4_t value = vfmaq_f32(bias, vcvtq_f32_s32(acc), scale);
  if (tile.add) value = vaddq_f32(load4_first(y, columns), value);
  store4_first(y, value, columns);
}

// ROWS rows x GROUPS groups of 4 channels, of which the first `columns` exist.
template <int ROWS, int GROUPS>
void tile_run(const Tile& tile, std::size_t columns) {
  int32x4_t acc[ROWS][GROUPS][4];
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    SANDERLING_UNROLL
    for (int i = 0; i < 4 * GROUPS; ++i) acc[r][i / 4][i % 4] = vdupq_n_s32(0);
  }
  for (std::size_t k = 0; k < tile.K; k += 16) {
    int8x16_t a[ROWS];
    SANDERLING_UNROLL
    for (int r = 0; r < ROWS; ++r) a[r] = vld1q_s8(tile.a + r * tile.K + k);
    SANDERLING_UNROLL
    for (int i = 0; i < 4 * GROUPS; ++i) {
      const int8x16_t w = vld1q_s8(tile.w + (i / 4) * 4 * tile.K + 4 * k + 16 * (i % 4));
      SANDERLING_UNROLL
      for (int r = 0; r < ROWS; ++r) acc[r][i / 4][i % 4] = dot16(acc[r][i / 4][i % 4], a[r], w);
    }
  }
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    SANDERLING_UNROLL
    for (int g = 0; g < GROUPS; ++g) finish(tile, r, 4 * g, columns - 4 * g, acc[r][g]);
  }
}

}  // namespace

namespace sanderling {

std::size_t qgemm_size_neon(std::size_t N, std::size_t K) { return (N + 3) / 4 * 4 * K; }

void qgemm_pack_neon(const std::int8_t* w, std::size_t N, std::size_t K, void* packed) {
  std::int8_t* out = static_cast<std::int8_t*>(packed);
  for (std::size_t group = 0; group < N; group += 4)
    for (std::size_t k = 0; k < K; k += 16)
      for (std::size_t n = group; n < group + 4; ++n)
        for (std::size_t i = 0; i < 16; ++i) *out++ = n < N ? w[n * K + k + i] : std::int8_t{0};
}

void qgemm_run_neon(const std::int8_t* a, const float* a_scale, const void* packed, const float* w_scale,
                    const float* bias, float* y, std::size_t ldy, std::size_t M, std::size_t N, std::size_t K,
                    bool add) {
  const std::int8_t* w = static_cast<const std::int8_t*>(packed);
  const auto tile = [=](std::size_t m, std::size_t n) {
    return Tile{a + m * K, a_scale + m, w + n * K, w_scale + n, bias ? bias + n : nullptr, y + m * ldy + n, ldy, K,
                add};
  };
  const std::size_t rows4 = M / 4 * 4;
  // Channels outside, rows inside: a group of weights stays in L1 while the rows pass.
  if (rows4)
    for (std::size_t n = 0; n < N; n += 4)
      for (std::size_t m = 0; m < rows4; m += 4) tile_run<4, 1>(tile(m, n), N - n);
  std::size_t m = rows4;
  if (M - m >= 2) {
    for (std::size_t n = 0; n < N; n += 4) tile_run<2, 1>(tile(m, n), N - n);
    m += 2;
  }
  if (m == M) return;
  std::size_t n = 0;
  // A pair of groups needs at least one channel in the second.
  for (; n + 4 < N; n += 8) tile_run<1, 2>(tile(m, n), N - n);
  if (n < N) tile_run<1, 1>(tile(m, n), N - n);
}

}  // namespace sanderling
