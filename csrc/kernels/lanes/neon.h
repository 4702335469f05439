// The 16 virtual lanes on NEON: four registers of four. The same names as lanes/avx2.h.
#pragma once
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

// Registers of an f32x16: how many make up enough independent chains depends on it.
#define SANDERLING_LANE_REGISTERS 4
#define SANDERLING_LANES static inline __attribute__((always_inline))
// Accumulator arrays stay in registers only when their loops are gone.
#define SANDERLING_UNROLL _Pragma("GCC unroll 16")

namespace {

struct f32x16 {
  float32x4_t a, b, c, d;
};
struct mask16 {
  uint32x4_t a, b, c, d;
};

// Lanes below n, n <= 16.
SANDERLING_LANES mask16 first(std::size_t n) {
  const uint32x4_t iota = {0, 1, 2, 3};
  const uint32x4_t count = vdupq_n_u32(static_cast<std::uint32_t>(n));
  return {vcltq_u32(iota, count), vcltq_u32(vaddq_u32(iota, vdupq_n_u32(4)), count),
          vcltq_u32(vaddq_u32(iota, vdupq_n_u32(8)), count), vcltq_u32(vaddq_u32(iota, vdupq_n_u32(12)), count)};
}
SANDERLING_LANES mask16 mask_not(mask16 m) {
  return {vmvnq_u32(m.a), vmvnq_u32(m.b), vmvnq_u32(m.c), vmvnq_u32(m.d)};
}
SANDERLING_LANES mask16 mask_or(mask16 x, mask16 y) {
  return {vorrq_u32(x.a, y.a), vorrq_u32(x.b, y.b), vorrq_u32(x.c, y.c), vorrq_u32(x.d, y.d)};
}
SANDERLING_LANES mask16 mask_and(mask16 x, mask16 y) {
  return {vandq_u32(x.a, y.a), vandq_u32(x.b, y.b), vandq_u32(x.c, y.c), vandq_u32(x.d, y.d)};
}
SANDERLING_LANES mask16 at_most(f32x16 x, f32x16 y) {
  return {vcleq_f32(x.a, y.a), vcleq_f32(x.b, y.b), vcleq_f32(x.c, y.c), vcleq_f32(x.d, y.d)};
}
SANDERLING_LANES bool any(mask16 m) { return vmaxvq_u32(vorrq_u32(vorrq_u32(m.a, m.b), vorrq_u32(m.c, m.d))) != 0; }
// m ? x : y
SANDERLING_LANES f32x16 select(mask16 m, f32x16 x, f32x16 y) {
  return {vbslq_f32(m.a, x.a, y.a), vbslq_f32(m.b, x.b, y.b), vbslq_f32(m.c, x.c, y.c), vbslq_f32(m.d, x.d, y.d)};
}

// Not measured on a board: nothing.
SANDERLING_LANES void bring_line(const void*) {}

SANDERLING_LANES f32x16 set1(float v) {
  const float32x4_t s = vdupq_n_f32(v);
  return {s, s, s, s};
}
SANDERLING_LANES f32x16 load(const float* p) {
  return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
SANDERLING_LANES void store(float* p, f32x16 v) {
  vst1q_f32(p, v.a);
  vst1q_f32(p + 4, v.b);
  vst1q_f32(p + 8, v.c);
  vst1q_f32(p + 12, v.d);
}

// The first n of four lanes; n may be above four. The others read as +0 and touch no memory.
SANDERLING_LANES float32x4_t load4_first(const float* p, std::size_t n) {
  if (n >= 4) return vld1q_f32(p);
  float32x4_t v = vdupq_n_f32(0.0f);
  if (n > 0) v = vld1q_lane_f32(p, v, 0);
  if (n > 1) v = vld1q_lane_f32(p + 1, v, 1);
  if (n > 2) v = vld1q_lane_f32(p + 2, v, 2);
  return v;
}
SANDERLING_LANES void store4_first(float* p, float32x4_t v, std::size_t n) {
  if (n >= 4) {
    vst1q_f32(p, v);
    return;
  }
  if (n > 0) vst1q_lane_f32(p, v, 0);
  if (n > 1) vst1q_lane_f32(p + 1, v, 1);
  if (n > 2) vst1q_lane_f32(p + 2, v, 2);
}
SANDERLING_LANES std::size_t beyond(std::size_t n, std::size_t from) { return n > from ? n - from : 0; }
SANDERLING_LANES f32x16 load_first(const float* p, std::size_t n) {
  return {load4_first(p, n), load4_first(p + 4, beyond(n, 4)), load4_first(p + 8, beyond(n, 8)),
          load4_first(p + 12, beyond(n, 12))};
}
SANDERLING_LANES void store_first(float* p, f32x16 v, std::size_t n) {
  store4_first(p, v.a, n);
  store4_first(p + 4, v.b, beyond(n, 4));
  store4_first(p + 8, v.c, beyond(n, 8));
  store4_first(p + 12, v.d, beyond(n, 12));
}

SANDERLING_LANES f32x16 add(f32x16 x, f32x16 y) {
  return {vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b), vaddq_f32(x.c, y.c), vaddq_f32(x.d, y.d)};
}
SANDERLING_LANES f32x16 sub(f32x16 x, f32x16 y) {
  return {vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b), vsubq_f32(x.c, y.c), vsubq_f32(x.d, y.d)};
}
SANDERLING_LANES f32x16 mul(f32x16 x, f32x16 y) {
  return {vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b), vmulq_f32(x.c, y.c), vmulq_f32(x.d, y.d)};
}
SANDERLING_LANES f32x16 div(f32x16 x, f32x16 y) {
  return {vdivq_f32(x.a, y.a), vdivq_f32(x.b, y.b), vdivq_f32(x.c, y.c), vdivq_f32(x.d, y.d)};
}
// round(x * y + z)
SANDERLING_LANES f32x16 fma(f32x16 x, f32x16 y, f32x16 z) {
  return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c), vfmaq_f32(z.d, x.d, y.d)};
}
// round(x * y - z): -(z - x * y), and the sign changes no rounding.
SANDERLING_LANES f32x16 fms(f32x16 x, f32x16 y, f32x16 z) {
  const auto one = [](float32x4_t a, float32x4_t b, float32x4_t c) { return vnegq_f32(vfmsq_f32(c, a, b)); };
  return {one(x.a, y.a, z.a), one(x.b, y.b, z.b), one(x.c, y.c, z.c), one(x.d, y.d, z.d)};
}
// Finite lanes; of +0 and -0 +0 wins: pass the wanted zero second (lanes/avx2.h).
SANDERLING_LANES f32x16 max(f32x16 x, f32x16 y) {
  return {vmaxq_f32(x.a, y.a), vmaxq_f32(x.b, y.b), vmaxq_f32(x.c, y.c), vmaxq_f32(x.d, y.d)};
}
SANDERLING_LANES f32x16 min(f32x16 x, f32x16 y) {
  return {vminq_f32(x.a, y.a), vminq_f32(x.b, y.b), vminq_f32(x.c, y.c), vminq_f32(x.d, y.d)};
}
SANDERLING_LANES f32x16 abs(f32x16 x) { return {vabsq_f32(x.a), vabsq_f32(x.b), vabsq_f32(x.c), vabsq_f32(x.d)}; }

SANDERLING_LANES float32x4_t raised(float32x4_t x, float32x4_t t) {
  const int32x4_t shift = vshlq_n_s32(vreinterpretq_s32_f32(t), 23);
  return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(x), shift));
}
// x * 2^n, t = 1.5 * 2^23 + n; x and the result normal.
SANDERLING_LANES f32x16 times_power(f32x16 x, f32x16 t) {
  return {raised(x.a, t.a), raised(x.b, t.b), raised(x.c, t.c), raised(x.d, t.d)};
}

// 16 bytes of rne(v), |v| <= 127.
SANDERLING_LANES int8x16_t to_int8(f32x16 v) {
  const int16x8_t low = vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(v.a)), vcvtnq_s32_f32(v.b));
  const int16x8_t high = vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(v.c)), vcvtnq_s32_f32(v.d));
  return vqmovn_high_s16(vqmovn_s16(low), high);
}
SANDERLING_LANES void store_int8(void* p, f32x16 v) { vst1q_s8(static_cast<std::int8_t*>(p), to_int8(v)); }
// 32 bytes of rne(a), rne(b).
SANDERLING_LANES void store_int8(void* p, f32x16 a, f32x16 b) {
  store_int8(p, a);
  store_int8(static_cast<std::int8_t*>(p) + 16, b);
}
SANDERLING_LANES void store_int8_first(void* p, f32x16 v, std::size_t n) {
  std::int8_t bytes[16];
  vst1q_s8(bytes, to_int8(v));
  for (std::size_t i = 0; i < n; ++i) static_cast<std::int8_t*>(p)[i] = bytes[i];
}

// 16-8-4-2-1
SANDERLING_LANES float fold(f32x16 v) {
  const float32x4_t a4 = vaddq_f32(vaddq_f32(v.a, v.c), vaddq_f32(v.b, v.d));
  const float32x2_t a2 = vadd_f32(vget_low_f32(a4), vget_high_f32(a4));
  return vget_lane_f32(a2, 0) + vget_lane_f32(a2, 1);
}
SANDERLING_LANES float fold_max(f32x16 v) {
  return vmaxvq_f32(vmaxq_f32(vmaxq_f32(v.a, v.c), vmaxq_f32(v.b, v.d)));
}
SANDERLING_LANES float fold_min(f32x16 v) {
  return vminvq_f32(vminq_f32(vminq_f32(v.a, v.c), vminq_f32(v.b, v.d)));
}

}  // namespace
