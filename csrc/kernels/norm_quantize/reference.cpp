#include "kernels/kernels.h"

namespace sanderling {

layer_norm_fn layer_norm_reference;
quantize_rows_fn quantize_rows_reference;

void norm_quantize_reference(const float* x, const float* gain, const float* bias, std::int8_t* q, float* scale,
                             std::size_t rows, std::size_t D, float eps, float* work) {
  for (std::size_t row = 0; row < rows; ++row) {
    layer_norm_reference(x + row * D, gain, bias, work, 1, D, eps);
    quantize_rows_reference(work, q + row * D, scale + row, 1, D);
  }
}

}  // namespace sanderling
