#include "kernels/kernels.h"
#include "kernels/lanes/scalar.h"

namespace sanderling {

float softmin_reference(const float* dot, const float* norm, float q_norm, std::size_t n, float inv_tau,
                        std::size_t lo, std::size_t hi) {
  const auto left_out = [=](std::size_t i) { return i >= lo && i < hi; };
  const auto distance = [=](std::size_t i) {
    return larger(fma(-2.0f, dot[i], q_norm + (norm ? norm[i] : 1.0f)), 0.0f);
  };
  bool any = false;
  float m = 0.0f;
  for (std::size_t i = 0; i < n; ++i) {
    if (left_out(i)) continue;
    m = any ? smaller(distance(i), m) : distance(i);
    any = true;
  }
  if (!any) return -1.0f;
  const float limit = m + 20.0f / inv_tau;
  float weighted[16] = {}, sum[16] = {};
  for (std::size_t i = 0; i < n; ++i) {
    if (left_out(i)) continue;
    const float d = distance(i);
    if (d > limit) continue;
    const float w = exp32((m - d) * inv_tau);
    weighted[i % 16] = fma(w, d, weighted[i % 16]);
    sum[i % 16] += w;
  }
  return fold(weighted) / fold(sum);
}

}  // namespace sanderling
