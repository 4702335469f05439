#include "kernels/kernels.h"
#include "kernels/lanes/scalar.h"

namespace sanderling {

void layer_norm_reference(const float* x, const float* gain, const float* bias, float* y, std::size_t rows,
                          std::size_t D, float eps) {
  const float count = static_cast<float>(D);
  for (std::size_t row = 0; row < rows; ++row, x += D, y += D) {
    float lane[16] = {};
    for (std::size_t i = 0; i < D; ++i) lane[i % 16] += x[i];
    const float mean = fold(lane) / count;
    float square[16] = {};
    for (std::size_t i = 0; i < D; ++i) {
      const float c = x[i] - mean;
      square[i % 16] = fma(c, c, square[i % 16]);
    }
    const float var = fold(square) / count;
    const float rstd = 1.0f / __builtin_sqrtf(var + eps);
    for (std::size_t i = 0; i < D; ++i) y[i] = fma((x[i] - mean) * rstd, gain[i], bias[i]);
  }
}

}  // namespace sanderling
