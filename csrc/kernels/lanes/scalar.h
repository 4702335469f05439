// The scalar building blocks of every reference kernel: exp32, the 16-lane fold and round-to-nearest-even.
#pragma once
#include <cstddef>
#include <cstdint>

namespace {

inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

// |v| < 2^31; the default rounding mode is checked when a model is opened.
inline std::int32_t rne(float v) { return static_cast<std::int32_t>(__builtin_lrintf(v)); }

inline float larger(float a, float b) { return a > b ? a : b; }
inline float smaller(float a, float b) { return a < b ? a : b; }

inline float fold(const float lane[16]) {
  float a[16];
  for (int i = 0; i < 16; ++i) a[i] = lane[i];
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) a[i] += a[i + half];
  return a[0];
}

inline float exp32(float x) {
  x = smaller(larger(x, -87.0f), 88.0f);
  const float t = fma(x, 1.44269504088896341f, 12582912.0f), n = t - 12582912.0f;
  const float r = fma(x, 1.44269504088896341f, -n);
  float p = 1.326472731e-3f;
  p = fma(p, r, 9.671512991e-3f);
  p = fma(p, r, 5.550733581e-2f);
  p = fma(p, r, 2.402224243e-1f);
  p = fma(p, r, 6.931470037e-1f);
  float y = fma(p, r, 1.0f);
  std::uint32_t bits, shift;
  __builtin_memcpy(&bits, &y, sizeof bits);
  __builtin_memcpy(&shift, &t, sizeof shift);
  bits += shift << 23;
  __builtin_memcpy(&y, &bits, sizeof y);
  return y;
}

}  // namespace
