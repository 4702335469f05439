#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"
#include "kernels/layer_norm/lanes.inl"

namespace sanderling {

void layer_norm_avx512(const float* x, const float* gain, const float* bias, float* y, std::size_t rows, std::size_t D,
                       float eps) {
  layer_norm_lanes(x, gain, bias, y, rows, D, eps, nullptr);
}

}  // namespace sanderling
