// The row quantiser over the 16 virtual lanes; include after lanes/<isa>.h.
namespace {

SANDERLING_LANES f32x16 quantize16(f32x16 x, f32x16 inv) {
  return min(max(mul(x, inv), set1(-127.0f)), set1(127.0f));
}

SANDERLING_LANES void quantize_rows_lanes(const float* x, std::int8_t* q, float* scale, std::size_t rows,
                                          std::size_t K) {
  const std::size_t whole = K / 16 * 16, rest = K - whole;
  for (std::size_t row = 0; row < rows; ++row, x += K, q += K) {
    f32x16 top = set1(0.0f);
    for (std::size_t i = 0; i < whole; i += 16) top = max(top, abs(load(x + i)));
    if (rest) top = max(top, abs(load_first(x + whole, rest)));
    const float amax = fold_max(top);
    const bool empty = amax < 0x1p-100f;
    scale[row] = empty ? 0.0f : amax / 127.0f;
    const f32x16 inv = set1(empty ? 0.0f : 127.0f / amax);
    for (std::size_t i = 0; i < whole; i += 16) store_int8(q + i, quantize16(load(x + i), inv));
    if (rest) store_int8_first(q + whole, quantize16(load_first(x + whole, rest), inv), rest);
  }
}

}  // namespace
