// Registers of float and double on AVX2 for the filter banks, one overload a type; lanes/neon_steps.h gives the same names.
#pragma once
#include <immintrin.h>

#include <cstddef>

#define SANDERLING_STEPS static inline __attribute__((always_inline))
// Accumulator arrays stay in registers only when their loops are gone.
#define SANDERLING_UNROLL _Pragma("GCC unroll 16")

namespace {

template <typename T>
struct Register;
template <>
struct Register<float> {
  using type = __m256;
};
template <>
struct Register<double> {
  using type = __m256d;
};
template <typename T>
constexpr std::size_t width = 32 / sizeof(T);

SANDERLING_STEPS __m256 set1(float v) { return _mm256_set1_ps(v); }
SANDERLING_STEPS __m256d set1(double v) { return _mm256_set1_pd(v); }
SANDERLING_STEPS __m256 load(const float* p) { return _mm256_loadu_ps(p); }
SANDERLING_STEPS __m256d load(const double* p) { return _mm256_loadu_pd(p); }
SANDERLING_STEPS void store(float* p, __m256 v) { _mm256_storeu_ps(p, v); }
SANDERLING_STEPS void store(double* p, __m256d v) { _mm256_storeu_pd(p, v); }
SANDERLING_STEPS __m256 mul(__m256 a, __m256 b) { return _mm256_mul_ps(a, b); }
SANDERLING_STEPS __m256d mul(__m256d a, __m256d b) { return _mm256_mul_pd(a, b); }
// round(a * b + c)
SANDERLING_STEPS float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
SANDERLING_STEPS double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
SANDERLING_STEPS __m256 fma(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
SANDERLING_STEPS __m256d fma(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }

// Elements 0, 2, 4, .. of 2 * width at p to `even`, the others to `odd`, in the register's own order; in_order() restores theirs.
SANDERLING_STEPS void load_pairs(const float* p, __m256& even, __m256& odd) {
  const __m256 a = load(p), b = load(p + 8);
  even = _mm256_shuffle_ps(a, b, 0x88);
  odd = _mm256_shuffle_ps(a, b, 0xDD);
}
SANDERLING_STEPS void load_pairs(const double* p, __m256d& even, __m256d& odd) {
  const __m256d a = load(p), b = load(p + 4);
  even = _mm256_unpacklo_pd(a, b);
  odd = _mm256_unpackhi_pd(a, b);
}
SANDERLING_STEPS __m256 in_order(__m256 v) {
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xD8));
}
SANDERLING_STEPS __m256d in_order(__m256d v) { return _mm256_permute4x64_pd(v, 0xD8); }

// even[0], odd[0], even[1], .. to p.
SANDERLING_STEPS void store_pairs(float* p, __m256 even, __m256 odd) {
  const __m256 lo = _mm256_unpacklo_ps(even, odd), hi = _mm256_unpackhi_ps(even, odd);
  store(p, _mm256_permute2f128_ps(lo, hi, 0x20));
  store(p + 8, _mm256_permute2f128_ps(lo, hi, 0x31));
}
SANDERLING_STEPS void store_pairs(double* p, __m256d even, __m256d odd) {
  const __m256d lo = _mm256_unpacklo_pd(even, odd), hi = _mm256_unpackhi_pd(even, odd);
  store(p, _mm256_permute2f128_pd(lo, hi, 0x20));
  store(p + 4, _mm256_permute2f128_pd(lo, hi, 0x31));
}

}  // namespace
