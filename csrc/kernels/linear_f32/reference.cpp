#include "kernels/kernels.h"
#include "kernels/lanes/scalar.h"

namespace sanderling {

void linear_f32_reference(const float* x, const float* w, const float* bias, float* y, std::size_t M, std::size_t K,
                          std::size_t N) {
  for (std::size_t m = 0; m < M; ++m)
    for (std::size_t n = 0; n < N; ++n) {
      float acc = bias[n];
      for (std::size_t k = 0; k < K; ++k) acc = fma(x[m * K + k], w[k * N + n], acc);
      y[m * N + n] = acc;
    }
}

}  // namespace sanderling
