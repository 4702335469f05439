#include "kernels/kernels.h"
#include "kernels/lanes/avx2.h"
#include "kernels/quantize_rows/lanes.inl"

namespace sanderling {

void quantize_heads_avx2(const float* x, std::size_t ldx, std::int8_t* q, std::size_t ldq, float* scale,
                         std::size_t lds, std::size_t T, std::size_t H, std::size_t D) {
  quantize_groups(x, ldx, q, ldq, scale, lds, T, H, D);
}

}  // namespace sanderling
