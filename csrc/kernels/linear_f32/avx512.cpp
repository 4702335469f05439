#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"
#include "kernels/linear_f32/lanes.inl"

namespace sanderling {

void linear_f32_avx512(const float* x, const float* w, const float* bias, float* y, std::size_t M, std::size_t K,
                       std::size_t N) {
  linear_f32_lanes(x, w, bias, y, M, K, N);
}

}  // namespace sanderling
