#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"
#include "kernels/atrous/lanes.inl"

namespace sanderling {

void atrous_avx512(const float* x, const float* taps, std::size_t n_taps, std::size_t stride, std::size_t n,
                   float* smooth, float* detail) {
  atrous_lanes(x, taps, n_taps, stride, n, smooth, detail);
}

}  // namespace sanderling
