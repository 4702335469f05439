// The 16 virtual lanes on AVX2: lanes 0-7 in lo, 8-15 in hi. lanes/neon.h gives the same names; lanes.inl files use only them.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

// Registers of an f32x16: how many make up enough independent chains depends on it.
#define SANDERLING_LANE_REGISTERS 2
#define SANDERLING_LANES static inline __attribute__((always_inline))
// Accumulator arrays stay in registers only when their loops are gone.
#define SANDERLING_UNROLL _Pragma("GCC unroll 16")

namespace {

struct f32x16 {
  __m256 lo, hi;
};
struct mask16 {
  __m256 lo, hi;
};

alignas(32) const std::int32_t first_table[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

// Lanes below n, n <= 16.
SANDERLING_LANES mask16 first(std::size_t n) {
  const std::int32_t* at = first_table + 16 - n;
  return {_mm256_castsi256_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at))),
          _mm256_castsi256_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 8)))};
}
SANDERLING_LANES mask16 mask_not(mask16 m) {
  const __m256 ones = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
  return {_mm256_xor_ps(m.lo, ones), _mm256_xor_ps(m.hi, ones)};
}
SANDERLING_LANES mask16 mask_or(mask16 a, mask16 b) { return {_mm256_or_ps(a.lo, b.lo), _mm256_or_ps(a.hi, b.hi)}; }
SANDERLING_LANES mask16 mask_and(mask16 a, mask16 b) { return {_mm256_and_ps(a.lo, b.lo), _mm256_and_ps(a.hi, b.hi)}; }
SANDERLING_LANES mask16 at_most(f32x16 a, f32x16 b) {
  return {_mm256_cmp_ps(a.lo, b.lo, _CMP_LE_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LE_OQ)};
}
SANDERLING_LANES bool any(mask16 m) { return _mm256_movemask_ps(_mm256_or_ps(m.lo, m.hi)) != 0; }
// m ? a : b
SANDERLING_LANES f32x16 select(mask16 m, f32x16 a, f32x16 b) {
  return {_mm256_blendv_ps(b.lo, a.lo, m.lo), _mm256_blendv_ps(b.hi, a.hi, m.hi)};
}

// A line of memory on to L2.
SANDERLING_LANES void bring_line(const void* p) { __builtin_prefetch(p, 0, 2); }

SANDERLING_LANES f32x16 set1(float v) { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
SANDERLING_LANES f32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
SANDERLING_LANES void store(float* p, f32x16 v) {
  _mm256_storeu_ps(p, v.lo);
  _mm256_storeu_ps(p + 8, v.hi);
}
// The first n lanes, n <= 16; the others read as +0 and touch no memory.
SANDERLING_LANES f32x16 load_first(const float* p, std::size_t n) {
  const mask16 m = first(n);
  return {_mm256_maskload_ps(p, _mm256_castps_si256(m.lo)), _mm256_maskload_ps(p + 8, _mm256_castps_si256(m.hi))};
}
SANDERLING_LANES void store_first(float* p, f32x16 v, std::size_t n) {
  const mask16 m = first(n);
  _mm256_maskstore_ps(p, _mm256_castps_si256(m.lo), v.lo);
  _mm256_maskstore_ps(p + 8, _mm256_castps_si256(m.hi), v.hi);
}

SANDERLING_LANES f32x16 add(f32x16 a, f32x16 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
SANDERLING_LANES f32x16 sub(f32x16 a, f32x16 b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
SANDERLING_LANES f32x16 mul(f32x16 a, f32x16 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
SANDERLING_LANES f32x16 div(f32x16 a, f32x16 b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
// round(a * b + c)
SANDERLING_LANES f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
// round(a * b - c)
SANDERLING_LANES f32x16 fms(f32x16 a, f32x16 b, f32x16 c) {
  return {_mm256_fmsub_ps(a.lo, b.lo, c.lo), _mm256_fmsub_ps(a.hi, b.hi, c.hi)};
}
// Finite lanes; of +0 and -0 the second operand wins here and +0 in NEON: pass the wanted zero second.
SANDERLING_LANES f32x16 max(f32x16 a, f32x16 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
SANDERLING_LANES f32x16 min(f32x16 a, f32x16 b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
SANDERLING_LANES f32x16 abs(f32x16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}

SANDERLING_LANES __m256 raised(__m256 x, __m256 t) {
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}
// x * 2^n, t = 1.5 * 2^23 + n; x and the result normal.
SANDERLING_LANES f32x16 times_power(f32x16 x, f32x16 t) { return {raised(x.lo, t.lo), raised(x.hi, t.hi)}; }

// 16 bytes of rne(v), |v| <= 127.
SANDERLING_LANES __m128i to_int8(f32x16 v) {
  const __m256i s16 = _mm256_packs_epi32(_mm256_cvtps_epi32(v.lo), _mm256_cvtps_epi32(v.hi));
  const __m256i ordered = _mm256_permute4x64_epi64(s16, 0xD8);
  return _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
}
SANDERLING_LANES void store_int8(void* p, f32x16 v) { _mm_storeu_si128(static_cast<__m128i*>(p), to_int8(v)); }
// 32 bytes of rne(a), rne(b).
SANDERLING_LANES void store_int8(void* p, f32x16 a, f32x16 b) {
  const __m256i low = _mm256_packs_epi32(_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi));
  const __m256i high = _mm256_packs_epi32(_mm256_cvtps_epi32(b.lo), _mm256_cvtps_epi32(b.hi));
  const __m256i words = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), words));
}
SANDERLING_LANES void store_int8_first(void* p, f32x16 v, std::size_t n) {
  alignas(16) std::int8_t bytes[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(bytes), to_int8(v));
  for (std::size_t i = 0; i < n; ++i) static_cast<std::int8_t*>(p)[i] = bytes[i];
}

// 16-8-4-2-1
SANDERLING_LANES float fold(f32x16 v) {
  const __m256 a8 = _mm256_add_ps(v.lo, v.hi);
  const __m128 a4 = _mm_add_ps(_mm256_castps256_ps128(a8), _mm256_extractf128_ps(a8, 1));
  const __m128 a2 = _mm_add_ps(a4, _mm_movehl_ps(a4, a4));
  return _mm_cvtss_f32(_mm_add_ss(a2, _mm_movehdup_ps(a2)));
}
SANDERLING_LANES float fold_max(f32x16 v) {
  const __m256 a8 = _mm256_max_ps(v.lo, v.hi);
  const __m128 a4 = _mm_max_ps(_mm256_castps256_ps128(a8), _mm256_extractf128_ps(a8, 1));
  const __m128 a2 = _mm_max_ps(a4, _mm_movehl_ps(a4, a4));
  return _mm_cvtss_f32(_mm_max_ss(a2, _mm_movehdup_ps(a2)));
}
SANDERLING_LANES float fold_min(f32x16 v) {
  const __m256 a8 = _mm256_min_ps(v.lo, v.hi);
  const __m128 a4 = _mm_min_ps(_mm256_castps256_ps128(a8), _mm256_extractf128_ps(a8, 1));
  const __m128 a2 = _mm_min_ps(a4, _mm_movehl_ps(a4, a4));
  return _mm_cvtss_f32(_mm_min_ss(a2, _mm_movehdup_ps(a2)));
}

}  // namespace
