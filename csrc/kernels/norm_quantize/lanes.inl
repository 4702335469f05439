// Layer norm whose rows go straight into the quantiser; include after lanes/<isa>.h.
#include "kernels/layer_norm/lanes.inl"
#include "kernels/quantize_rows/lanes.inl"

namespace {

// Sixteen normalised rows at a time stay in a small cache on their way to the quantiser.
SANDERLING_LANES void norm_quantize_lanes(const float* x, const float* gain, const float* bias, std::int8_t* q,
                                          float* scale, std::size_t rows, std::size_t D, float eps, float* work) {
  for (std::size_t row = 0; row < rows; row += sanderling::norm_quantize_rows) {
    const std::size_t left = rows - row;
    const std::size_t n = left < sanderling::norm_quantize_rows ? left : sanderling::norm_quantize_rows;
    alignas(64) float amax[sanderling::norm_quantize_rows] = {}, inv[sanderling::norm_quantize_rows];
    layer_norm_lanes(x + row * D, gain, bias, work, n, D, eps, amax);
    const RowScales s = row_scales(load(amax));
    store_first(scale + row, s.scale, n);
    store(inv, s.inv);
    for (std::size_t i = 0; i < n; ++i) quantize_row(work + i * D, q + (row + i) * D, set1(inv[i]), D);
  }
}

}  // namespace
