// Attention of sixteen queries at a time, for windows of 16 keys and heads of 32: the lanes are queries, so that the softmax's sums and
// maxima run down registers instead of across them. Include after lanes.inl. The ISA file defines the three integer parts, over
// scratch of its own layout:
//   band_keys:   dots[i][lane] = float(q_lane . k_(lane + i)), 0 <= i < 16, from rows q and k that are `row` bytes apart. There are n
//                queries and n + 15 keys; the other lanes may hold anything finite.
//   band_values: out[lane][d] = float(sum_i p[i][lane] * v_(lane + i, d)) * factor[lane] for the n queries.
namespace {

constexpr std::size_t band = 16;       // keys a window
constexpr std::size_t band_dim = 32;   // a head
constexpr std::size_t band_least = 3;  // queries below which one at a time is faster

void band_keys(const std::int8_t* q, const std::int8_t* k, std::size_t row, std::size_t n, float (&dots)[band][16]);
void band_values(const std::uint8_t (&p)[band][16], const std::int8_t* v, std::size_t row, std::size_t n, const float (&factor)[16],
                 float* out);

// Lane i of n + 15 takes from[i * stride]; the rest repeats the last.
SANDERLING_LANES void gather(const float* from, std::size_t stride, std::size_t n, float (&to)[32]) {
  for (std::size_t i = 0; i < 32; ++i) to[i] = from[(i < n ? i : n - 1) * stride];
}

// Queries t .. t + n - 1 of head h, n <= 16; each has all of its 16 keys.
inline void attend_band(const sanderling::AttentionArgs& args, std::size_t t, std::size_t n, std::size_t h) {
  const std::size_t row = args.H * args.D, first = args.P + t + 1 - band, keys = n + band - 1;
  alignas(64) float dots[band][16], q_scale[32], k_scale[32], v_scale[32], factor[16];
  alignas(64) std::uint8_t p[band][16];
  gather(args.q_scale + t * args.H + h, args.H, n, q_scale);
  gather(args.k_scale + first * args.H + h, args.H, keys, k_scale);
  gather(args.v_scale + first * args.H + h, args.H, keys, v_scale);
  band_keys(args.q + t * row + h * band_dim, args.k + first * row + h * band_dim, row, n, dots);

  const f32x16 query = mul(load(q_scale), set1(args.inv_sqrt_d));
  f32x16 m = set1(-3.4028234664e38f);
  for (std::size_t i = 0; i < band; ++i) {
    const f32x16 scale = mul(query, load(k_scale + i));
    const f32x16 logit = fma(load(dots[i]), scale, set1(args.bias ? args.bias[h * band + band - 1 - i] : 0.0f));
    store(dots[i], logit);
    m = max(logit, m);
  }
  f32x16 top = set1(0.0f), half[band / 2];
  for (std::size_t i = 0; i < band; ++i) {
    const f32x16 e = exp32_bounded(max(sub(load(dots[i]), m), set1(-87.0f)));
    half[i % (band / 2)] = i < band / 2 ? e : add(half[i - band / 2], e);
    const f32x16 g = mul(e, load(v_scale + i));
    store(dots[i], g);
    top = max(g, top);
  }
  for (std::size_t fold = band / 4; fold > 0; fold /= 2)
    for (std::size_t i = 0; i < fold; ++i) half[i] = add(half[i], half[i + fold]);

  const mask16 full = at_most(set1(0x1p-100f), top);
  const f32x16 divisor = select(full, top, set1(0x1p-100f));
  const f32x16 to_integer = select(full, div(set1(127.0f), divisor), set1(0.0f));
  store(factor, select(full, div(div(top, set1(127.0f)), half[0]), set1(0.0f)));
  for (std::size_t i = 0; i < band; ++i) store_int8(p[i], mul(load(dots[i]), to_integer));
  band_values(p, args.v + first * row + h * band_dim, row, n, factor, args.out + t * row + h * band_dim);
}

inline void attention_bands(const sanderling::AttentionArgs& args) {
  // The first queries of a recording see fewer keys.
  const std::size_t short_of = args.window != band || args.D != band_dim ? args.T : args.P + 1 >= band ? 0 : band - 1 - args.P;
  std::size_t t = 0;
  for (; t < args.T; ) {
    const std::size_t left = args.T - t;
    if (t < short_of || left < band_least) {
      for (std::size_t h = 0; h < args.H; ++h) attend(args, t, h);
      ++t;
      continue;
    }
    const std::size_t n = left < 16 ? left : 16;
    for (std::size_t h = 0; h < args.H; ++h) attend_band(args, t, n, h);
    t += n;
  }
}

}  // namespace
