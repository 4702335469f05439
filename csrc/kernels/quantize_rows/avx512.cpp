#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"
#include "kernels/quantize_rows/lanes.inl"

namespace sanderling {

void quantize_rows_avx512(const float* x, std::int8_t* q, float* scale, std::size_t rows, std::size_t K) {
  quantize_rows_lanes(x, q, scale, rows, K);
}

}  // namespace sanderling
