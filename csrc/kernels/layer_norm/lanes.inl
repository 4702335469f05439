// Layer norm over the 16 virtual lanes; include after lanes/<isa>.h.
namespace {

SANDERLING_LANES void layer_norm_lanes(const float* x, const float* gain, const float* bias, float* y,
                                       std::size_t rows, std::size_t D, float eps) {
  const float count = static_cast<float>(D);
  const std::size_t whole = D / 16 * 16, rest = D - whole;
  for (std::size_t row = 0; row < rows; ++row, x += D, y += D) {
    f32x16 sum = set1(0.0f);
    for (std::size_t i = 0; i < whole; i += 16) sum = add(sum, load(x + i));
    // A lane is never -0, so that adding the +0 beyond the row changes no bit.
    if (rest) sum = add(sum, load_first(x + whole, rest));
    const f32x16 mean = set1(fold(sum) / count);

    f32x16 square = set1(0.0f);
    for (std::size_t i = 0; i < whole; i += 16) {
      const f32x16 c = sub(load(x + i), mean);
      square = fma(c, c, square);
    }
    if (rest) {
      const f32x16 c = select(first(rest), sub(load_first(x + whole, rest), mean), set1(0.0f));
      square = fma(c, c, square);
    }
    const float var = fold(square) / count;
    const f32x16 rstd = set1(1.0f / __builtin_sqrtf(var + eps));

    for (std::size_t i = 0; i < whole; i += 16)
      store(y + i, fma(mul(sub(load(x + i), mean), rstd), load(gain + i), load(bias + i)));
    if (rest) {
      const f32x16 c = mul(sub(load_first(x + whole, rest), mean), rstd);
      store_first(y + whole, fma(c, load_first(gain + whole, rest), load_first(bias + whole, rest)), rest);
    }
  }
}

}  // namespace
