#include "kernels/kernels.h"
#include "kernels/lanes/scalar.h"

namespace sanderling {

void gelu_reference(const float* x, float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const float x2 = x[i] * x[i];
    const float u = fma(0.044715f * x2, x[i], x[i]);
    const float e = exp32(u * -1.59576912160573f);
    y[i] = x[i] / (1.0f + e);
  }
}

}  // namespace sanderling
