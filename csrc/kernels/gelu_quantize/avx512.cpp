#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"
#include "kernels/gelu_quantize/lanes.inl"

namespace sanderling {

void gelu_quantize_avx512(float* x, std::int8_t* q, float* scale, std::size_t rows, std::size_t K, Ahead ahead) {
  gelu_quantize_lanes(x, q, scale, rows, K, ahead);
}

}  // namespace sanderling
