// Full attention (window 0) of four queries at a time; the lanes are keys. A head's scales are gathered and its keys and values packed
// once for all its queries. Include after lanes.inl. The ISA file defines, over packs of its own layout:
//   full_fits:  whether it takes heads of D.
//   full_pack:  fills head.keys and head.values (D bytes a key each) from head h.
//   full_dots:  head.logit[i][j] = float(q_(t + i) . k_j) for the four queries from t on; beyond n anything finite, up to head.padded.
//   full_weigh: out of the four queries = float(sum_j head.p[i][j] * v_j) * factor[i].
namespace {

constexpr std::size_t full_queries = 4;
constexpr std::size_t full_least = 16;  // keys below which packing costs more than it saves

// One head: its packs, scales by key, and the rows of four queries.
struct FullHead {
  std::size_t n, padded;
  float *k_scale, *v_scale;   // [padded], 0 beyond n
  float* logit;               // [full_queries][padded]
  std::uint8_t* p;            // [full_queries][padded], 0 beyond n
  std::uint8_t* keys;         // [padded * D]
  std::int8_t* values;        // [padded * D]
};

inline bool full_fits(std::size_t D);
void full_pack(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t h);
void full_dots(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h);
void full_weigh(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h, const float (&factor)[full_queries]);

// logit -> p and factor.
SANDERLING_LANES void full_softmax(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h,
                                   float (&factor)[full_queries]) {
  const std::size_t blocks = head.padded / 16;
  f32x16 m[full_queries], scale[full_queries], sum[full_queries], top[full_queries];
  SANDERLING_UNROLL
  for (std::size_t i = 0; i < full_queries; ++i) {
    m[i] = set1(-3.4028234664e38f);
    scale[i] = set1(args.q_scale[(t + i) * args.H + h]);
    sum[i] = top[i] = set1(0.0f);
  }
  const f32x16 inv_sqrt_d = set1(args.inv_sqrt_d);
  const mask16 last = first(head.n - (blocks - 1) * 16);
  for (std::size_t b = 0; b < blocks; ++b) {
    const f32x16 k_scale = load(head.k_scale + 16 * b);
    SANDERLING_UNROLL
    for (std::size_t i = 0; i < full_queries; ++i) {
      float* at = head.logit + i * head.padded + 16 * b;
      const f32x16 logit = fma(load(at), mul(mul(scale[i], k_scale), inv_sqrt_d), set1(0.0f));
      store(at, logit);
      m[i] = max(b + 1 < blocks ? logit : select(last, logit, m[i]), m[i]);
    }
  }
  SANDERLING_UNROLL
  for (std::size_t i = 0; i < full_queries; ++i) m[i] = set1(fold_max(m[i]));
  for (std::size_t b = 0; b < blocks; ++b) {
    const f32x16 v_scale = load(head.v_scale + 16 * b);
    SANDERLING_UNROLL
    for (std::size_t i = 0; i < full_queries; ++i) {
      float* at = head.logit + i * head.padded + 16 * b;
      f32x16 weight = exp32_bounded(max(sub(load(at), m[i]), set1(-87.0f)));
      if (b + 1 == blocks) weight = select(last, weight, set1(0.0f));
      sum[i] = add(sum[i], weight);
      const f32x16 product = mul(weight, v_scale);
      store(at, product);
      top[i] = max(top[i], product);
    }
  }
  for (std::size_t i = 0; i < full_queries; ++i) {
    const float G = fold_max(top[i]);
    const bool empty = G < 0x1p-100f;
    const f32x16 to_integer = set1(empty ? 0.0f : 127.0f / G);
    factor[i] = empty ? 0.0f : (G / 127.0f) / fold(sum[i]);
    for (std::size_t b = 0; b < blocks; ++b)
      store_int8(head.p + i * head.padded + 16 * b, mul(load(head.logit + i * head.padded + 16 * b), to_integer));
  }
}

// Whether it ran.
inline bool attention_full_ran(const sanderling::AttentionArgs& args) {
  const std::size_t n = args.P + args.T, padded = (n + 15) / 16 * 16;
  if (args.window != 0 || args.bias != nullptr || args.T < full_queries || n < full_least || !full_fits(args.D)) return false;
  FullHead head = {n, padded, args.work, args.work + padded, args.work + 2 * padded, nullptr, nullptr, nullptr};
  head.p = reinterpret_cast<std::uint8_t*>(head.logit + full_queries * padded);
  head.keys = head.p + full_queries * padded;
  head.values = reinterpret_cast<std::int8_t*>(head.keys + padded * args.D);
  for (std::size_t h = 0; h < args.H; ++h) {
    full_pack(args, head, h);
    for (std::size_t i = 0; i < padded; ++i) {
      head.k_scale[i] = i < n ? args.k_scale[i * args.H + h] : 0.0f;
      head.v_scale[i] = i < n ? args.v_scale[i * args.H + h] : 0.0f;
    }
    for (std::size_t next = 0; next < args.T; next += full_queries) {
      // The last four queries again rather than fewer: the same bits.
      const std::size_t t = next + full_queries <= args.T ? next : args.T - full_queries;
      float factor[full_queries];
      full_dots(args, head, t, h);
      full_softmax(args, head, t, h, factor);
      full_weigh(args, head, t, h, factor);
    }
  }
  return true;
}

}  // namespace
