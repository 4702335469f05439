// dwt for a vector ISA, on the registers of kernels/lanes/*_steps.h. The last block overlaps the one before it: the same bits are
// stored twice, and no masks are needed.
namespace sanderling {
namespace {

// One value, for shapes below a register's width.
template <typename T>
SANDERLING_STEPS void dwt_one(const T* x, const T* lo, const T* hi, std::size_t taps, std::size_t lanes, T* a, T* d) {
  T smooth = lo[0] * *x, detail = hi[0] * *x;
  for (std::size_t j = 1; j < taps; ++j) {
    x -= lanes;
    smooth = fma(lo[j], *x, smooth);
    detail = fma(hi[j], *x, detail);
  }
  *a = smooth;
  *d = detail;
}

// U registers of neighbouring lanes, one output row.
template <std::size_t U, typename T>
SANDERLING_STEPS void dwt_lanes(const T* x, const T* lo, const T* hi, std::size_t taps, std::size_t lanes, T* a, T* d) {
  typename Register<T>::type smooth[U], detail[U];
  SANDERLING_UNROLL for (std::size_t u = 0; u < U; ++u) {
    const auto v = load(x + u * width<T>);
    smooth[u] = mul(set1(lo[0]), v);
    detail[u] = mul(set1(hi[0]), v);
  }
  for (std::size_t j = 1; j < taps; ++j) {
    x -= lanes;
    const auto l = set1(lo[j]), h = set1(hi[j]);
    SANDERLING_UNROLL for (std::size_t u = 0; u < U; ++u) {
      const auto v = load(x + u * width<T>);
      smooth[u] = fma(l, v, smooth[u]);
      detail[u] = fma(h, v, detail[u]);
    }
  }
  SANDERLING_UNROLL for (std::size_t u = 0; u < U; ++u) {
    store(a + u * width<T>, smooth[u]);
    store(d + u * width<T>, detail[u]);
  }
}

// U registers of neighbouring outputs of one lane.
template <std::size_t U, typename T>
SANDERLING_STEPS void dwt_row(const T* x, const T* lo, const T* hi, std::size_t taps, T* a, T* d) {
  typename Register<T>::type smooth[U], detail[U], older, newer;
  SANDERLING_UNROLL for (std::size_t u = 0; u < U; ++u) {
    load_pairs(x - 1 + 2 * u * width<T>, older, newer);
    smooth[u] = fma(set1(lo[1]), older, mul(set1(lo[0]), newer));
    detail[u] = fma(set1(hi[1]), older, mul(set1(hi[0]), newer));
  }
  for (std::size_t j = 2; j < taps; j += 2) {
    x -= 2;
    SANDERLING_UNROLL for (std::size_t u = 0; u < U; ++u) {
      load_pairs(x - 1 + 2 * u * width<T>, older, newer);
      smooth[u] = fma(set1(lo[j + 1]), older, fma(set1(lo[j]), newer, smooth[u]));
      detail[u] = fma(set1(hi[j + 1]), older, fma(set1(hi[j]), newer, detail[u]));
    }
  }
  SANDERLING_UNROLL for (std::size_t u = 0; u < U; ++u) {
    store(a + u * width<T>, in_order(smooth[u]));
    store(d + u * width<T>, in_order(detail[u]));
  }
}

template <typename T>
SANDERLING_STEPS void dwt_steps(const DwtArgs& args) {
  constexpr std::size_t W = width<T>;
  const T *x = static_cast<const T*>(args.x), *lo = static_cast<const T*>(args.lo), *hi = static_cast<const T*>(args.hi);
  T *a = static_cast<T*>(args.a), *d = static_cast<T*>(args.d);
  const std::size_t taps = args.taps, n = args.n, lanes = args.lanes;
  if (lanes == 1 && n >= W) {
    std::size_t o = 0;
    for (; o + 4 * W <= n; o += 4 * W) dwt_row<4>(x + 2 * o, lo, hi, taps, a + o, d + o);
    for (; o + W <= n; o += W) dwt_row<1>(x + 2 * o, lo, hi, taps, a + o, d + o);
    if (o < n) dwt_row<1>(x + 2 * (n - W), lo, hi, taps, a + n - W, d + n - W);
    return;
  }
  for (std::size_t o = 0; o < n; ++o, x += 2 * lanes, a += lanes, d += lanes) {
    std::size_t c = 0;
    for (; c + 4 * W <= lanes; c += 4 * W) dwt_lanes<4>(x + c, lo, hi, taps, lanes, a + c, d + c);
    for (; c + W <= lanes; c += W) dwt_lanes<1>(x + c, lo, hi, taps, lanes, a + c, d + c);
    if (c == lanes) continue;
    if (lanes > W)
      dwt_lanes<1>(x + lanes - W, lo, hi, taps, lanes, a + lanes - W, d + lanes - W);
    else
      for (; c < lanes; ++c) dwt_one(x + c, lo, hi, taps, lanes, a + c, d + c);
  }
}

}  // namespace
}  // namespace sanderling
