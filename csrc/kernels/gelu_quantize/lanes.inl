// GELU whose rows go straight into the quantiser; include after lanes/<isa>.h.
#include "kernels/gelu/lanes.inl"
#include "kernels/quantize_rows/lanes.inl"

namespace {

// A few rows at a time stay in the first cache between the two.
SANDERLING_LANES void gelu_quantize_lanes(float* x, std::int8_t* q, float* scale, std::size_t rows, std::size_t K) {
  constexpr std::size_t block = 16;
  for (std::size_t row = 0; row < rows; row += block) {
    const std::size_t n = rows - row < block ? rows - row : block;
    gelu_lanes(x + row * K, x + row * K, n * K);
    quantize_rows_lanes(x + row * K, q + row * K, scale + row, n, K);
  }
}

}  // namespace
