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
  const std::int32_t n = rne(x * 1.44269504088896341f);
  const float nf = static_cast<float>(n);
  float r = fma(nf, -0.693359375f, x);
  r = fma(nf, 2.12194440e-4f, r);
  float p = 1.9875691500e-4f;
  p = fma(p, r, 1.3981999507e-3f);
  p = fma(p, r, 8.3334519073e-3f);
  p = fma(p, r, 4.1665795894e-2f);
  p = fma(p, r, 1.6666665459e-1f);
  p = fma(p, r, 5.0000001201e-1f);
  const float y = fma(p, r * r, r) + 1.0f;
  const std::uint32_t bits = static_cast<std::uint32_t>(n + 127) << 23;
  float power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return y * power;
}

}  // namespace
