// One a trous level over the 16 virtual lanes; include after lanes/<isa>.h.
namespace {

SANDERLING_LANES void atrous_lanes(const float* x, const float* taps, std::size_t n_taps, std::size_t stride,
                                   std::size_t n, float* smooth, float* detail) {
  std::size_t t = 0;
  for (; t + 16 <= n; t += 16) {
    const f32x16 now = load(x + t);
    f32x16 s = mul(set1(taps[0]), now);
    for (std::size_t k = 1; k < n_taps; ++k) s = fma(set1(taps[k]), load(x + t - k * stride), s);
    store(smooth + t, s);
    store(detail + t, sub(now, s));
  }
  if (t == n) return;
  const std::size_t rest = n - t;
  const f32x16 now = load_first(x + t, rest);
  f32x16 s = mul(set1(taps[0]), now);
  for (std::size_t k = 1; k < n_taps; ++k) s = fma(set1(taps[k]), load_first(x + t - k * stride, rest), s);
  store_first(smooth + t, s, rest);
  store_first(detail + t, sub(now, s), rest);
}

}  // namespace
