#include "kernels/kernels.h"
#include "kernels/lanes/neon.h"
#include "kernels/qgemm/interleave4.inl"
#include "kernels/qgemm/tiles.inl"

namespace {

template <int LANE>
SANDERLING_LANES void step4(int32x4_t acc[4], int8x16_t a, const std::int8_t* w) {
  SANDERLING_UNROLL
  for (int i = 0; i < 4; ++i) acc[i] = vdotq_laneq_s32(acc[i], vld1q_s8(w + 64 * LANE + 16 * i), a, LANE);
}

template <int ROWS, int BLOCKS>
void tile_run(const Tile& tile, std::size_t columns) {
  int32x4_t acc[ROWS][BLOCKS][4];
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    SANDERLING_UNROLL
    for (int i = 0; i < 4 * BLOCKS; ++i) acc[r][i / 4][i % 4] = vdupq_n_s32(0);
  }
  for (std::size_t k = 0; k < tile.K; k += 16) {
    int8x16_t a[ROWS];
    SANDERLING_UNROLL
    for (int r = 0; r < ROWS; ++r) a[r] = vld1q_s8(tile.a + r * tile.K + k);
    SANDERLING_UNROLL
    for (int b = 0; b < BLOCKS; ++b) {
      const std::int8_t* w = tile.w + b * 16 * tile.K + 16 * k;
      SANDERLING_UNROLL
      for (int r = 0; r < ROWS; ++r) step4<0>(acc[r][b], a[r], w);
      SANDERLING_UNROLL
      for (int r = 0; r < ROWS; ++r) step4<1>(acc[r][b], a[r], w);
      SANDERLING_UNROLL
      for (int r = 0; r < ROWS; ++r) step4<2>(acc[r][b], a[r], w);
      SANDERLING_UNROLL
      for (int r = 0; r < ROWS; ++r) step4<3>(acc[r][b], a[r], w);
    }
  }
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    SANDERLING_UNROLL
    for (int b = 0; b < BLOCKS; ++b) {
      const int32x4_t* sums = acc[r][b];
      const f32x16 sum = {vcvtq_f32_s32(sums[0]), vcvtq_f32_s32(sums[1]), vcvtq_f32_s32(sums[2]), vcvtq_f32_s32(sums[3])};
      finish(tile, r, 16 * b, columns - 16 * b, sum);
    }
  }
}

}  // namespace

namespace sanderling {

std::size_t qgemm_size_neon_dotprod(std::size_t N, std::size_t K) { return interleave4_size(N, K); }

void qgemm_pack_neon_dotprod(const std::int8_t* w, std::size_t N, std::size_t K, void* packed) {
  interleave4_pack(w, N, K, packed);
}

void qgemm_run_neon_dotprod(const std::int8_t* a, const float* a_scale, const void* packed, const float* w_scale,
                            const float* bias, float* y, std::size_t ldy, std::size_t M, std::size_t N,
                            std::size_t K, bool add) {
  tiles_run(a, a_scale, packed, w_scale, bias, y, ldy, M, N, K, add);
}

}  // namespace sanderling
