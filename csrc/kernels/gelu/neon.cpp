#include "kernels/kernels.h"
#include "kernels/lanes/neon.h"
#include "kernels/gelu/lanes.inl"

namespace sanderling {

void gelu_neon(const float* x, float* y, std::size_t n) {
  gelu_lanes(x, y, n);
}

}  // namespace sanderling
