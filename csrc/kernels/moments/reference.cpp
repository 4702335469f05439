#include "kernels/kernels.h"

namespace sanderling {

void moments_reference(const float* x, const float* weight, std::size_t n, double sums[2]) {
  double second[16] = {}, fourth[16] = {};
  for (std::size_t i = 0; i < n; ++i) {
    const double v = static_cast<double>(x[i] * weight[i]), e = v * v;
    second[i % 16] += e;
    fourth[i % 16] += e * e;
  }
  for (std::size_t half = 8; half > 0; half /= 2)
    for (std::size_t i = 0; i < half; ++i) {
      second[i] += second[i + half];
      fourth[i] += fourth[i + half];
    }
  sums[0] = second[0];
  sums[1] = fourth[0];
}

}  // namespace sanderling
