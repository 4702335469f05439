#include "kernels/kernels.h"
#include "kernels/lanes/neon.h"
#include "kernels/attention/lanes.inl"

namespace {

// WHOLE: n is a multiple of 4, so that no row lies beyond the end.
template <bool WHOLE>
SANDERLING_LANES const std::int8_t* row_of(const std::int8_t* p, std::size_t row, std::size_t i, std::size_t n) {
  return WHOLE ? p + i * row : row_at(p, row, i, n);
}

template <bool WHOLE>
SANDERLING_LANES void dot_rows(const std::int8_t* q, const std::int8_t* k, std::size_t row, std::size_t n, std::size_t D,
                               float* dots) {
  for (std::size_t i = 0; i < n; i += 4) {
    const std::int8_t* keys[4] = {k + i * row, row_of<WHOLE>(k, row, i + 1, n), row_of<WHOLE>(k, row, i + 2, n),
                                  row_of<WHOLE>(k, row, i + 3, n)};
    int32x4_t acc[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (std::size_t d = 0; d < D; d += 16) {
      const int8x16_t query = vld1q_s8(q + d);
      SANDERLING_UNROLL
      for (int j = 0; j < 4; ++j) acc[j] = vdotq_s32(acc[j], query, vld1q_s8(keys[j] + d));
    }
    const int32x4_t sums = vpaddq_s32(vpaddq_s32(acc[0], acc[1]), vpaddq_s32(acc[2], acc[3]));
    vst1q_f32(dots + i, vcvtq_f32_s32(sums));
  }
}

SANDERLING_LANES int16x8_t words(int8x16_t v) { return vreinterpretq_s16_s8(v); }

// Four tokens of one d side by side, for 16 d.
SANDERLING_LANES void columns_of(int8x16_t r0, int8x16_t r1, int8x16_t r2, int8x16_t r3, int8x16_t (&columns)[4]) {
  const int16x8_t low01 = words(vzip1q_s8(r0, r1)), high01 = words(vzip2q_s8(r0, r1));
  const int16x8_t low23 = words(vzip1q_s8(r2, r3)), high23 = words(vzip2q_s8(r2, r3));
  columns[0] = vreinterpretq_s8_s16(vzip1q_s16(low01, low23));
  columns[1] = vreinterpretq_s8_s16(vzip2q_s16(low01, low23));
  columns[2] = vreinterpretq_s8_s16(vzip1q_s16(high01, high23));
  columns[3] = vreinterpretq_s8_s16(vzip2q_s16(high01, high23));
}

SANDERLING_LANES int8x16_t broadcast4(const std::uint8_t* p) {
  std::int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return vreinterpretq_s8_s32(vdupq_n_s32(word));
}

template <bool WHOLE>
SANDERLING_LANES void weigh_rows(const std::uint8_t* p, const std::int8_t* v, std::size_t row, std::size_t n, std::size_t D,
                                 float factor, float* out) {
  for (std::size_t d = 0; d < D; d += 16) {
    int32x4_t acc[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (std::size_t i = 0; i < n; i += 4) {
      const int8x16_t r0 = vld1q_s8(row_of<WHOLE>(v, row, i, n) + d), r1 = vld1q_s8(row_of<WHOLE>(v, row, i + 1, n) + d);
      const int8x16_t r2 = vld1q_s8(row_of<WHOLE>(v, row, i + 2, n) + d), r3 = vld1q_s8(row_of<WHOLE>(v, row, i + 3, n) + d);
      int8x16_t columns[4];
      columns_of(r0, r1, r2, r3, columns);
      const int8x16_t weights = broadcast4(p + i);
      SANDERLING_UNROLL
      for (int j = 0; j < 4; ++j) acc[j] = vdotq_s32(acc[j], columns[j], weights);
    }
    const f32x16 sums = {vcvtq_f32_s32(acc[0]), vcvtq_f32_s32(acc[1]), vcvtq_f32_s32(acc[2]), vcvtq_f32_s32(acc[3])};
    store(out + d, mul(sums, set1(factor)));
  }
}

}  // namespace

#include "kernels/attention/band.inl"
#include "kernels/attention/band_rows.inl"
#include "kernels/attention/full_four.inl"
#include "kernels/attention/full.inl"
#include "kernels/attention/full_neon.inl"
#include "kernels/attention/full_dotprod.inl"

namespace sanderling {

void attention_neon_dotprod(const AttentionArgs& args) {
  if (!attention_full_ran(args)) attention_bands(args);
}

}  // namespace sanderling
