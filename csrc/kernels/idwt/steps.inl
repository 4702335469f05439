// idwt for a vector ISA, on the registers of kernels/lanes/*_steps.h. The last block overlaps the one before it: the same bits are
// stored twice, and no masks are needed.
namespace sanderling {
namespace {

// One pair of values, for shapes below a register's width.
template <typename T>
SANDERLING_STEPS void idwt_one(const T* a, const T* d, const T* lo, const T* hi, std::size_t taps, std::size_t lanes, T* x) {
  T even = fma(hi[0], *d, lo[0] * *a), odd = fma(hi[1], *d, lo[1] * *a);
  for (std::size_t j = 2; j < taps; j += 2) {
    a -= lanes;
    d -= lanes;
    even = fma(hi[j], *d, fma(lo[j], *a, even));
    odd = fma(hi[j + 1], *d, fma(lo[j + 1], *a, odd));
  }
  x[0] = even;
  x[lanes] = odd;
}

// U registers of neighbouring lanes (stride = lanes), or of neighbouring pairs of one lane (stride = 1).
template <std::size_t U, bool row, typename T>
SANDERLING_STEPS void idwt_block(const T* a, const T* d, const T* lo, const T* hi, std::size_t taps, std::size_t stride, T* x) {
  typename Register<T>::type even[U], odd[U];
  SANDERLING_UNROLL for (std::size_t u = 0; u < U; ++u) {
    const auto s = load(a + u * width<T>), t = load(d + u * width<T>);
    even[u] = fma(set1(hi[0]), t, mul(set1(lo[0]), s));
    odd[u] = fma(set1(hi[1]), t, mul(set1(lo[1]), s));
  }
  for (std::size_t j = 2; j < taps; j += 2) {
    a -= stride;
    d -= stride;
    SANDERLING_UNROLL for (std::size_t u = 0; u < U; ++u) {
      const auto s = load(a + u * width<T>), t = load(d + u * width<T>);
      even[u] = fma(set1(hi[j]), t, fma(set1(lo[j]), s, even[u]));
      odd[u] = fma(set1(hi[j + 1]), t, fma(set1(lo[j + 1]), s, odd[u]));
    }
  }
  SANDERLING_UNROLL for (std::size_t u = 0; u < U; ++u) {
    if (row) {
      store_pairs(x + 2 * u * width<T>, even[u], odd[u]);
    } else {
      store(x + u * width<T>, even[u]);
      store(x + stride + u * width<T>, odd[u]);
    }
  }
}

template <typename T>
SANDERLING_STEPS void idwt_steps(const IdwtArgs& args) {
  constexpr std::size_t W = width<T>;
  const T *a = static_cast<const T*>(args.a), *d = static_cast<const T*>(args.d);
  const T *lo = static_cast<const T*>(args.lo), *hi = static_cast<const T*>(args.hi);
  T* x = static_cast<T*>(args.x);
  const std::size_t taps = args.taps, n = args.n, lanes = args.lanes;
  if (lanes == 1 && n >= W) {
    std::size_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W) idwt_block<4, true>(a + i, d + i, lo, hi, taps, 1, x + 2 * i);
    for (; i + W <= n; i += W) idwt_block<1, true>(a + i, d + i, lo, hi, taps, 1, x + 2 * i);
    if (i < n) idwt_block<1, true>(a + n - W, d + n - W, lo, hi, taps, 1, x + 2 * (n - W));
    return;
  }
  for (std::size_t i = 0; i < n; ++i, a += lanes, d += lanes, x += 2 * lanes) {
    std::size_t c = 0;
    for (; c + 4 * W <= lanes; c += 4 * W) idwt_block<4, false>(a + c, d + c, lo, hi, taps, lanes, x + c);
    for (; c + W <= lanes; c += W) idwt_block<1, false>(a + c, d + c, lo, hi, taps, lanes, x + c);
    if (c == lanes) continue;
    if (lanes > W)
      idwt_block<1, false>(a + lanes - W, d + lanes - W, lo, hi, taps, lanes, x + lanes - W);
    else
      for (; c < lanes; ++c) idwt_one(a + c, d + c, lo, hi, taps, lanes, x + c);
  }
}

}  // namespace
}  // namespace sanderling
