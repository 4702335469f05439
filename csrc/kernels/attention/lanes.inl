// Attention over the 16 virtual lanes, one query and head at a time; include after lanes/<isa>.h. The ISA file defines the two integer parts:
//   dot_keys: dots[i] = float(q . k_i) for i < n; rows of k are `row` bytes apart. It may write up to the next multiple of 4.
//   weigh_values: out[d] = float(sum_i p_i * v_id) * factor; p is zero from n up to the next multiple of 16.
#include "kernels/attention/row_at.inl"
#include "kernels/lanes/exp32.inl"

namespace {

SANDERLING_LANES void dot_keys(const std::int8_t* q, const std::int8_t* k, std::size_t row, std::size_t n,
                               std::size_t D, float* dots);
SANDERLING_LANES void weigh_values(const std::uint8_t* p, const std::int8_t* v, std::size_t row, std::size_t n,
                                   std::size_t D, float factor, float* out);

inline void attend(const sanderling::AttentionArgs& args, std::size_t t, std::size_t h) {
  const std::size_t row = args.H * args.D;
  const std::size_t hi = args.window ? args.P + t : args.P + args.T - 1;
  const std::size_t lo = args.window && hi + 1 > args.window ? hi + 1 - args.window : 0;
  const std::size_t n = hi - lo + 1, padded = (n + 15) / 16 * 16;
  const float* k_scale = args.k_scale + lo * args.H + h;
  const float* v_scale = args.v_scale + lo * args.H + h;
  float* e = args.work;
  float* g = args.work + padded;

  if (n == 1) {  // exp(0) = 1 and P = 127, whatever the logit
    const bool empty = *v_scale < 0x1p-100f;
    alignas(16) const std::uint8_t p[16] = {static_cast<std::uint8_t>(empty ? 0 : 127)};
    const float factor = empty ? 0.0f : *v_scale / 127.0f;
    weigh_values(p, args.v + lo * row + h * args.D, row, n, args.D, factor, args.out + t * row + h * args.D);
    return;
  }
  dot_keys(args.q + t * row + h * args.D, args.k + lo * row + h * args.D, row, n, args.D, e);
  const float q_scale = args.q_scale[t * args.H + h];
  const float* bias = args.bias ? args.bias + h * args.window + n - 1 : nullptr;
  for (std::size_t i = 0; i < n; ++i) {
    const float scale = (q_scale * args.inv_sqrt_d) * k_scale[i * args.H];
    e[i] = __builtin_fmaf(e[i], scale, bias ? *(bias - i) : 0.0f);
    g[i] = v_scale[i * args.H];
  }
  // Copies of the first logit change no maximum.
  for (std::size_t i = n; i < padded; ++i) e[i] = e[0];

  f32x16 largest = load(e);
  for (std::size_t i = 16; i < padded; i += 16) largest = max(largest, load(e + i));
  const f32x16 m = set1(fold_max(largest));

  f32x16 sum = set1(0.0f), top = set1(0.0f);
  for (std::size_t i = 0; i < padded; i += 16) {
    f32x16 weight = exp32(sub(load(e + i), m));
    f32x16 value = load(g + i);
    if (i + 16 > n) {
      const mask16 inside = first(n - i);
      weight = select(inside, weight, set1(0.0f));
      value = select(inside, value, set1(0.0f));
    }
    sum = add(sum, weight);
    const f32x16 product = mul(weight, value);
    store(g + i, product);
    top = max(top, product);
  }
  const float G = fold_max(top);
  const bool empty = G < 0x1p-100f;
  const f32x16 to_integer = set1(empty ? 0.0f : 127.0f / G);
  const float factor = empty ? 0.0f : (G / 127.0f) / fold(sum);
  // The weights are spent: their place holds P as bytes.
  std::uint8_t* p = reinterpret_cast<std::uint8_t*>(e);
  for (std::size_t i = 0; i < padded; i += 16) store_int8(p + i, mul(load(g + i), to_integer));
  weigh_values(p, args.v + lo * row + h * args.D, row, n, args.D, factor, args.out + t * row + h * args.D);
}

SANDERLING_LANES void attention_lanes(const sanderling::AttentionArgs& args) {
  for (std::size_t t = 0; t < args.T; ++t)
    for (std::size_t h = 0; h < args.H; ++h) attend(args, t, h);
}

}  // namespace
