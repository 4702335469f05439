#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"
#include "kernels/gelu/lanes.inl"

namespace sanderling {

void gelu_avx512(const float* x, float* y, std::size_t n) {
  gelu_lanes(x, y, n);
}

}  // namespace sanderling
