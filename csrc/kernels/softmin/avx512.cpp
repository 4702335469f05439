#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"
#include "kernels/softmin/lanes.inl"

namespace sanderling {

float softmin_avx512(const float* dot, const float* norm, float q_norm, std::size_t n, float inv_tau, std::size_t lo,
                     std::size_t hi) {
  return softmin_lanes(dot, norm, q_norm, n, inv_tau, lo, hi);
}

}  // namespace sanderling
