// Full attention (window 0) of a few queries at a time; the lanes are keys. A head's scales are gathered and its keys and values packed
// once for all its queries. Include after row_at.inl and exp32.inl. The ISA file defines before it (full_four.inl)
//   full_queries: how many, a multiple of four;  full_depth: what the values' rows are padded to, a multiple of 16;
//   full_logit(at): 16 of full_dots' results;  full_awake(n): called between the softmaxes of n keys;
// and, over packs of its own layout:
//   full_fits:  whether it takes heads of D.
//   full_pack:  fills head.keys and head.values (D bytes a key each) from head h.
//   full_dots:  head.logit[i][j] = q_(t + i) . k_j for the queries from t on, as full_logit reads it; beyond n anything finite, up to
//               head.padded.
//   full_weigh: out of the queries from t + first on = float(sum_j head.p[i][j] * v_j) * factor[i].
namespace {

constexpr std::size_t full_rows = 4;  // that go through the softmax side by side
constexpr std::size_t full_least = 16;  // keys below which packing costs more than it saves

// One head: its packs, scales by key, and the rows of its queries.
struct FullHead {
  std::size_t n, padded, deep;  // keys, then up to a multiple of 16 and of full_depth
  float *k_scale, *v_scale;   // [padded], 0 beyond n
  float* logit;               // [full_queries][padded]
  std::uint8_t* p;            // [full_queries][padded], 0 beyond n
  std::uint8_t* keys;         // [padded * D]
  std::int8_t* values;        // [deep * D]; from padded on they make p, whatever it is there, count nothing
};

inline bool full_fits(std::size_t D);
void full_pack(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t h);
void full_dots(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h);
void full_weigh(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h, std::size_t first,
                const float (&factor)[full_queries]);

// logit -> p and factor of the queries from t + from on, `from` of the rows into them.
SANDERLING_LANES void full_softmax(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h, std::size_t from,
                                   float* factor) {
  const std::size_t blocks = head.padded / 16;
  float* const logits = head.logit + from * head.padded;
  f32x16 m[full_rows], scale[full_rows], sum[full_rows], top[full_rows];
  SANDERLING_UNROLL
  for (std::size_t i = 0; i < full_rows; ++i) {
    m[i] = set1(-3.4028234664e38f);
    scale[i] = set1(args.q_scale[(t + from + i) * args.H + h] * args.inv_sqrt_d);
    sum[i] = top[i] = set1(0.0f);
  }
  const mask16 last = first(head.n - (blocks - 1) * 16);
  for (std::size_t b = 0; b < blocks; ++b) {
    const f32x16 k_scale = load(head.k_scale + 16 * b);
    SANDERLING_UNROLL
    for (std::size_t i = 0; i < full_rows; ++i) {
      float* at = logits + i * head.padded + 16 * b;
      const f32x16 logit = fma(full_logit(at), mul(scale[i], k_scale), set1(0.0f));
      store(at, logit);
      m[i] = max(b + 1 < blocks ? logit : select(last, logit, m[i]), m[i]);
    }
  }
  SANDERLING_UNROLL
  for (std::size_t i = 0; i < full_rows; ++i) m[i] = set1(fold_max(m[i]));
  for (std::size_t b = 0; b < blocks; ++b) {
    const f32x16 v_scale = load(head.v_scale + 16 * b);
    SANDERLING_UNROLL
    for (std::size_t i = 0; i < full_rows; ++i) {
      float* at = logits + i * head.padded + 16 * b;
      f32x16 weight = exp32_bounded(max(sub(load(at), m[i]), set1(-87.0f)));
      if (b + 1 == blocks) weight = select(last, weight, set1(0.0f));
      sum[i] = add(sum[i], weight);
      const f32x16 product = mul(weight, v_scale);
      store(at, product);
      top[i] = max(top[i], product);
    }
  }
  for (std::size_t i = 0; i < full_rows; ++i) {
    const float G = fold_max(top[i]);
    const bool empty = G < 0x1p-100f;
    const f32x16 to_integer = set1(empty ? 0.0f : 127.0f / G);
    factor[from + i] = empty ? 0.0f : (G / 127.0f) / fold(sum[i]);
    for (std::size_t b = 0; b < blocks; ++b)
      store_int8(head.p + (from + i) * head.padded + 16 * b, mul(load(logits + i * head.padded + 16 * b), to_integer));
  }
}

// Whether it ran.
inline bool attention_full_ran(const sanderling::AttentionArgs& args) {
  const std::size_t n = args.P + args.T, padded = (n + 15) / 16 * 16, deep = (n + full_depth - 1) / full_depth * full_depth;
  if (args.window != 0 || args.bias != nullptr || args.T < full_queries || n < full_least || !full_fits(args.D)) return false;
  FullHead head = {n, padded, deep, args.work, args.work + padded, args.work + 2 * padded, nullptr, nullptr, nullptr};
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
      // The last queries again rather than fewer: the same bits.
      const std::size_t t = next + full_queries <= args.T ? next : args.T - full_queries;
      const std::size_t first = (next - t) / full_rows * full_rows;
      float factor[full_queries];
      full_dots(args, head, t, h);
      for (std::size_t i = first; i < full_queries; i += full_rows) {
        full_softmax(args, head, t, h, i, factor);
        full_awake(n);
      }
      full_weigh(args, head, t, h, first, factor);
    }
  }
  return true;
}

}  // namespace
