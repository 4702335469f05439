#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"
#include "kernels/norm_quantize/lanes.inl"

namespace sanderling {

void norm_quantize_avx512(const float* x, const float* gain, const float* bias, std::int8_t* q, float* scale,
                        std::size_t rows, std::size_t D, float eps, float* work) {
  norm_quantize_lanes(x, gain, bias, q, scale, rows, D, eps, work);
}

}  // namespace sanderling
