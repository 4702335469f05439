// Scalar arithmetic that reaches a score. Only + - * / sqrt, compares and explicit fma in one written order, so that every
// machine returns the same bits (docs/model.md); libm's exp and log differ between C libraries.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sanderling {

inline float float_from_bits(std::uint32_t bits) {
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}

inline std::uint32_t bits_of(float f) {
  std::uint32_t bits;
  std::memcpy(&bits, &f, sizeof bits);
  return bits;
}

// exp(x), relative error <= 3e-7 + 1.4e-8 |x| on [-87, 88], clamped outside; the arithmetic is written out in kernels.h.
inline float exp32(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float t = std::fma(x, 1.44269504088896341f, 12582912.0f), n = t - 12582912.0f;
  const float r = std::fma(x, 1.44269504088896341f, -n);
  float p = 1.326472731e-3f;
  p = std::fma(p, r, 9.671512991e-3f);
  p = std::fma(p, r, 5.550733581e-2f);
  p = std::fma(p, r, 2.402224243e-1f);
  p = std::fma(p, r, 6.931470037e-1f);
  return float_from_bits(bits_of(std::fma(p, r, 1.0f)) + (bits_of(t) << 23));
}

// Natural logarithm of a normal x > 0, relative error <= 1e-14 away from x = 1 and absolute <= 1e-15 near it.
// x = 2^e m with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(f), f = (m - 1) / (m + 1), |f| <= 0.172, eleven terms.
inline double log64(double x) {
  std::uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  int e = static_cast<int>(bits >> 52) - 1023;
  bits = (bits & 0x000fffffffffffffu) | 0x3ff0000000000000u;
  double m;
  std::memcpy(&m, &bits, sizeof m);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++e;
  }
  const double f = (m - 1.0) / (m + 1.0);
  const double s = f * f;
  double p = 1.0 / 23.0;
  for (int k = 21; k >= 1; k -= 2) p = p * s + 1.0 / k;
  constexpr double ln2_hi = 6.93147180369123816490e-01;  // 32 bits: e * ln2_hi is exact
  constexpr double ln2_lo = 1.90821492927058770002e-10;
  return e * ln2_hi + (e * ln2_lo + 2.0 * f * p);
}

// log(1 + x) for x >= 0, relative error <= 2e-7.
inline float log1p32(float x) {
  const double d = x;
  // Below 2^-10 the sum 1 + d would lose d's low bits; five terms of the series leave a relative error of 2^-50 / 6.
  if (x < 0.0009765625f) return static_cast<float>(d * (1.0 - d * (1.0 / 2 - d * (1.0 / 3 - d * (1.0 / 4 - d / 5.0)))));
  return static_cast<float>(log64(1.0 + d));
}

// Folds 16 lanes 16-8-4-2-1.
template <typename Real>
Real fold16(Real* lane) {
  for (std::size_t half = 8; half >= 1; half /= 2)
    for (std::size_t i = 0; i < half; ++i) lane[i] += lane[i + half];
  return lane[0];
}

// fold(sum x), n elements in 16 lanes.
inline float lane_sum(const float* x, std::size_t n) {
  float lane[16] = {};
  for (std::size_t i = 0; i < n; ++i) lane[i % 16] += x[i];
  return fold16(lane);
}

// fold(sum (x - mean)^2), the square rounded before it is added.
inline float lane_sum_squares(const float* x, std::size_t n, float mean) {
  float lane[16] = {};
  for (std::size_t i = 0; i < n; ++i) {
    const float c = x[i] - mean;
    lane[i % 16] += c * c;
  }
  return fold16(lane);
}

}  // namespace sanderling
