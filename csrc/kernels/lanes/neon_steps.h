// Registers of float and double on NEON for the filter banks. The same names as lanes/avx2_steps.h.
#pragma once
#include <arm_neon.h>

#include <cstddef>

#define SANDERLING_STEPS static inline __attribute__((always_inline))
// Accumulator arrays stay in registers only when their loops are gone.
#define SANDERLING_UNROLL _Pragma("GCC unroll 16")

namespace {

template <typename T>
struct Register;
template <>
struct Register<float> {
  using type = float32x4_t;
};
template <>
struct Register<double> {
  using type = float64x2_t;
};
template <typename T>
constexpr std::size_t width = 16 / sizeof(T);

SANDERLING_STEPS float32x4_t set1(float v) { return vdupq_n_f32(v); }
SANDERLING_STEPS float64x2_t set1(double v) { return vdupq_n_f64(v); }
SANDERLING_STEPS float32x4_t load(const float* p) { return vld1q_f32(p); }
SANDERLING_STEPS float64x2_t load(const double* p) { return vld1q_f64(p); }
SANDERLING_STEPS void store(float* p, float32x4_t v) { vst1q_f32(p, v); }
SANDERLING_STEPS void store(double* p, float64x2_t v) { vst1q_f64(p, v); }
SANDERLING_STEPS float32x4_t mul(float32x4_t a, float32x4_t b) { return vmulq_f32(a, b); }
SANDERLING_STEPS float64x2_t mul(float64x2_t a, float64x2_t b) { return vmulq_f64(a, b); }
// round(a * b + c)
SANDERLING_STEPS float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
SANDERLING_STEPS double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
SANDERLING_STEPS float32x4_t fma(float32x4_t a, float32x4_t b, float32x4_t c) { return vfmaq_f32(c, a, b); }
SANDERLING_STEPS float64x2_t fma(float64x2_t a, float64x2_t b, float64x2_t c) { return vfmaq_f64(c, a, b); }

// Elements 0, 2, 4, .. of 2 * width at p to `even`, the others to `odd`, in the register's own order; in_order() restores theirs.
SANDERLING_STEPS void load_pairs(const float* p, float32x4_t& even, float32x4_t& odd) {
  const float32x4x2_t v = vld2q_f32(p);
  even = v.val[0];
  odd = v.val[1];
}
SANDERLING_STEPS void load_pairs(const double* p, float64x2_t& even, float64x2_t& odd) {
  const float64x2x2_t v = vld2q_f64(p);
  even = v.val[0];
  odd = v.val[1];
}
SANDERLING_STEPS float32x4_t in_order(float32x4_t v) { return v; }
SANDERLING_STEPS float64x2_t in_order(float64x2_t v) { return v; }

// even[0], odd[0], even[1], .. to p.
// No braces in the arguments: clang's vst2q are macros.
SANDERLING_STEPS void store_pairs(float* p, float32x4_t even, float32x4_t odd) {
  const float32x4x2_t pairs = {{even, odd}};
  vst2q_f32(p, pairs);
}
SANDERLING_STEPS void store_pairs(double* p, float64x2_t even, float64x2_t odd) {
  const float64x2x2_t pairs = {{even, odd}};
  vst2q_f64(p, pairs);
}

}  // namespace
