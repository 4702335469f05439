#include "kernels/kernels.h"

namespace sanderling {

quantize_rows_fn quantize_rows_reference;

void quantize_heads_reference(const float* x, std::size_t ldx, std::int8_t* q, std::size_t ldq, float* scale,
                              std::size_t lds, std::size_t T, std::size_t H, std::size_t D) {
  for (std::size_t t = 0; t < T; ++t) quantize_rows_reference(x + t * ldx, q + t * ldq, scale + t * lds, H, D);
}

}  // namespace sanderling
