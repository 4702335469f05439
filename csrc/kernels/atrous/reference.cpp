#include "kernels/kernels.h"
#include "kernels/lanes/scalar.h"

namespace sanderling {

void atrous_reference(const float* x, const float* taps, std::size_t n_taps, std::size_t stride, std::size_t n,
                      float* smooth, float* detail) {
  for (std::size_t t = 0; t < n; ++t) {
    float s = taps[0] * x[t];
    for (std::size_t k = 1; k < n_taps; ++k) s = fma(taps[k], *(x + t - k * stride), s);
    smooth[t] = s;
    detail[t] = x[t] - s;
  }
}

}  // namespace sanderling
