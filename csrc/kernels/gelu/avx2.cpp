#include "kernels/kernels.h"
#include "kernels/lanes/avx2.h"
#include "kernels/gelu/lanes.inl"

namespace sanderling {

void gelu_avx2(const float* x, float* y, std::size_t n) {
  gelu_lanes(x, y, n);
}

}  // namespace sanderling
