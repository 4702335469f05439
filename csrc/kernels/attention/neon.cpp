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
      for (int j = 0; j < 4; ++j) {
        const int8x16_t key = vld1q_s8(keys[j] + d);
        const int16x8_t products = vmull_s8(vget_low_s8(query), vget_low_s8(key));
        acc[j] = vpadalq_s16(acc[j], vmlal_high_s8(products, query, key));
      }
    }
    const int32x4_t sums = vpaddq_s32(vpaddq_s32(acc[0], acc[1]), vpaddq_s32(acc[2], acc[3]));
    vst1q_f32(dots + i, vcvtq_f32_s32(sums));
  }
}

template <bool WHOLE>
SANDERLING_LANES void weigh_rows(const std::uint8_t* p, const std::int8_t* v, std::size_t row, std::size_t n, std::size_t D,
                                 float factor, float* out) {
  for (std::size_t d = 0; d < D; d += 16) {
    int32x4_t a = vdupq_n_s32(0), b = a, c = a, e = a;
    for (std::size_t i = 0; i < n; i += 2) {
      const int8x16_t r0 = vld1q_s8(row_of<WHOLE>(v, row, i, n) + d), r1 = vld1q_s8(row_of<WHOLE>(v, row, i + 1, n) + d);
      const int8x16_t p0 = vdupq_n_s8(static_cast<std::int8_t>(p[i]));
      const int8x16_t p1 = vdupq_n_s8(static_cast<std::int8_t>(p[i + 1]));
      const int16x8_t low = vmlal_s8(vmull_s8(vget_low_s8(r0), vget_low_s8(p0)), vget_low_s8(r1), vget_low_s8(p1));
      const int16x8_t high = vmlal_high_s8(vmull_high_s8(r0, p0), r1, p1);
      a = vaddw_s16(a, vget_low_s16(low));
      b = vaddw_high_s16(b, low);
      c = vaddw_s16(c, vget_low_s16(high));
      e = vaddw_high_s16(e, high);
    }
    const f32x16 sums = {vcvtq_f32_s32(a), vcvtq_f32_s32(b), vcvtq_f32_s32(c), vcvtq_f32_s32(e)};
    store(out + d, mul(sums, set1(factor)));
  }
}

}  // namespace

#include "kernels/attention/band.inl"
#include "kernels/attention/band_rows.inl"
#include "kernels/attention/full_four.inl"
#include "kernels/attention/full.inl"
#include "kernels/attention/full_neon.inl"
#include "kernels/attention/full_rows.inl"

namespace sanderling {

void attention_neon(const AttentionArgs& args) {
  if (!attention_full_ran(args)) attention_bands(args);
}

}  // namespace sanderling
