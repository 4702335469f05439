// The 16 virtual lanes on AVX-512: one register. lanes/avx2.h and lanes/neon.h give the same names; lanes.inl files use only
// them.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

// Registers of an f32x16: how many make up enough independent chains depends on it.
#define SANDERLING_LANE_REGISTERS 1
#define SANDERLING_LANES static inline __attribute__((always_inline))
// Accumulator arrays stay in registers only when their loops are gone.
#define SANDERLING_UNROLL _Pragma("GCC unroll 32")

namespace {

struct f32x16 {
  __m512 all;
};
struct mask16 {
  __mmask16 all;
};

// Lanes below n, n <= 16.
SANDERLING_LANES mask16 first(std::size_t n) { return {static_cast<__mmask16>((1u << n) - 1)}; }
SANDERLING_LANES mask16 mask_not(mask16 m) { return {static_cast<__mmask16>(~m.all)}; }
SANDERLING_LANES mask16 mask_or(mask16 a, mask16 b) { return {static_cast<__mmask16>(a.all | b.all)}; }
SANDERLING_LANES mask16 mask_and(mask16 a, mask16 b) { return {static_cast<__mmask16>(a.all & b.all)}; }
SANDERLING_LANES mask16 at_most(f32x16 a, f32x16 b) { return {_mm512_cmp_ps_mask(a.all, b.all, _CMP_LE_OQ)}; }
SANDERLING_LANES bool any(mask16 m) { return m.all != 0; }
// m ? a : b
SANDERLING_LANES f32x16 select(mask16 m, f32x16 a, f32x16 b) { return {_mm512_mask_blend_ps(m.all, b.all, a.all)}; }

// A line of memory on to L2.
SANDERLING_LANES void bring_line(const void* p) { __builtin_prefetch(p, 0, 2); }

SANDERLING_LANES f32x16 set1(float v) { return {_mm512_set1_ps(v)}; }
SANDERLING_LANES f32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
SANDERLING_LANES void store(float* p, f32x16 v) { _mm512_storeu_ps(p, v.all); }
// The first n lanes, n <= 16; the others read as +0 and touch no memory.
SANDERLING_LANES f32x16 load_first(const float* p, std::size_t n) { return {_mm512_maskz_loadu_ps(first(n).all, p)}; }
SANDERLING_LANES void store_first(float* p, f32x16 v, std::size_t n) { _mm512_mask_storeu_ps(p, first(n).all, v.all); }

SANDERLING_LANES f32x16 add(f32x16 a, f32x16 b) { return {_mm512_add_ps(a.all, b.all)}; }
SANDERLING_LANES f32x16 sub(f32x16 a, f32x16 b) { return {_mm512_sub_ps(a.all, b.all)}; }
SANDERLING_LANES f32x16 mul(f32x16 a, f32x16 b) { return {_mm512_mul_ps(a.all, b.all)}; }
SANDERLING_LANES f32x16 div(f32x16 a, f32x16 b) { return {_mm512_div_ps(a.all, b.all)}; }
// round(a * b + c)
SANDERLING_LANES f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { return {_mm512_fmadd_ps(a.all, b.all, c.all)}; }
// round(a * b - c)
SANDERLING_LANES f32x16 fms(f32x16 a, f32x16 b, f32x16 c) { return {_mm512_fmsub_ps(a.all, b.all, c.all)}; }
// Finite lanes; of +0 and -0 the second operand wins here and +0 in NEON: pass the wanted zero second.
SANDERLING_LANES f32x16 max(f32x16 a, f32x16 b) { return {_mm512_max_ps(a.all, b.all)}; }
SANDERLING_LANES f32x16 min(f32x16 a, f32x16 b) { return {_mm512_min_ps(a.all, b.all)}; }
SANDERLING_LANES f32x16 abs(f32x16 a) { return {_mm512_abs_ps(a.all)}; }

// x * 2^n, t = 1.5 * 2^23 + n; x and the result normal.
SANDERLING_LANES f32x16 times_power(f32x16 x, f32x16 t) {
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x.all), _mm512_slli_epi32(_mm512_castps_si512(t.all), 23)))};
}

// 16 bytes of rne(v), |v| <= 127.
SANDERLING_LANES __m128i to_int8(f32x16 v) { return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v.all)); }
SANDERLING_LANES void store_int8(void* p, f32x16 v) { _mm_storeu_si128(static_cast<__m128i*>(p), to_int8(v)); }
// 32 bytes of rne(a), rne(b).
SANDERLING_LANES void store_int8(void* p, f32x16 a, f32x16 b) {
  const __m512i words = _mm512_packs_epi32(_mm512_cvtps_epi32(a.all), _mm512_cvtps_epi32(b.all));
  const __m512i ordered = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), words);
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtsepi16_epi8(ordered));
}
SANDERLING_LANES void store_int8_first(void* p, f32x16 v, std::size_t n) {
  _mm_mask_storeu_epi8(p, first(n).all, to_int8(v));
}

// Lanes 8-15 and 0-7.
SANDERLING_LANES __m256 upper(__m512 v) { return _mm512_extractf32x8_ps(v, 1); }
SANDERLING_LANES __m256 lower(__m512 v) { return _mm512_castps512_ps256(v); }

// 16-8-4-2-1
SANDERLING_LANES float fold(f32x16 v) {
  const __m256 a8 = _mm256_add_ps(lower(v.all), upper(v.all));
  const __m128 a4 = _mm_add_ps(_mm256_castps256_ps128(a8), _mm256_extractf128_ps(a8, 1));
  const __m128 a2 = _mm_add_ps(a4, _mm_movehl_ps(a4, a4));
  return _mm_cvtss_f32(_mm_add_ss(a2, _mm_movehdup_ps(a2)));
}
SANDERLING_LANES float fold_max(f32x16 v) {
  const __m256 a8 = _mm256_max_ps(lower(v.all), upper(v.all));
  const __m128 a4 = _mm_max_ps(_mm256_castps256_ps128(a8), _mm256_extractf128_ps(a8, 1));
  const __m128 a2 = _mm_max_ps(a4, _mm_movehl_ps(a4, a4));
  return _mm_cvtss_f32(_mm_max_ss(a2, _mm_movehdup_ps(a2)));
}
SANDERLING_LANES float fold_min(f32x16 v) {
  const __m256 a8 = _mm256_min_ps(lower(v.all), upper(v.all));
  const __m128 a4 = _mm_min_ps(_mm256_castps256_ps128(a8), _mm256_extractf128_ps(a8, 1));
  const __m128 a2 = _mm_min_ps(a4, _mm_movehl_ps(a4, a4));
  return _mm_cvtss_f32(_mm_min_ss(a2, _mm_movehdup_ps(a2)));
}

}  // namespace
