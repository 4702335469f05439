#include "kernels/kernels.h"
#include "kernels/lanes/scalar.h"

namespace sanderling {

void gelu_reference(const float* x, float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const float low = x[i] < -4.8125f ? -4.8125f : x[i], t = low > 4.8125f ? 4.8125f : low;
    const float v = fma(t, t * 8.635520190e-02f, -1.0f);
    float p = gelu_polynomial[0];
    for (int k = 1; k < 12; ++k) p = fma(p, v, gelu_polynomial[k]);
    y[i] = x[i] * fma(t, p, 0.5f);
  }
}

}  // namespace sanderling
