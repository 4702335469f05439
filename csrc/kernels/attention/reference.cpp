#include "kernels/kernels.h"
#include "kernels/lanes/scalar.h"

namespace sanderling {

void attention_reference(const AttentionArgs& args) {
  const std::size_t n_keys = args.P + args.T, row = args.H * args.D;
  for (std::size_t t = 0; t < args.T; ++t)
    for (std::size_t h = 0; h < args.H; ++h) {
      const std::size_t hi = args.window ? args.P + t : n_keys - 1;
      const std::size_t lo = args.window && hi + 1 > args.window ? hi + 1 - args.window : 0;
      const std::size_t n = hi - lo + 1;
      const std::int8_t* q = args.q + t * row + h * args.D;
      const std::int8_t* k = args.k + lo * row + h * args.D;
      const std::int8_t* v = args.v + lo * row + h * args.D;
      const float* k_scale = args.k_scale + lo * args.H + h;
      const float* v_scale = args.v_scale + lo * args.H + h;
      float* out = args.out + t * row + h * args.D;
      float* e = args.work;

      float m = 0.0f;
      for (std::size_t i = 0; i < n; ++i) {
        std::int32_t dot = 0;
        for (std::size_t d = 0; d < args.D; ++d) dot += q[d] * k[i * row + d];
        const float scale = (args.q_scale[t * args.H + h] * args.inv_sqrt_d) * k_scale[i * args.H];
        e[i] = fma(static_cast<float>(dot), scale, args.bias ? args.bias[h * args.window + (n - 1 - i)] : 0.0f);
        m = i == 0 ? e[0] : larger(e[i], m);
      }
      float sum[16] = {};
      float top = 0.0f;
      for (std::size_t i = 0; i < n; ++i) {
        const float weight = exp32(e[i] - m);
        sum[i % 16] += weight;
        e[i] = weight * v_scale[i * args.H];
        top = larger(e[i], top);
      }
      const bool empty = top < 0x1p-100f;
      const float to_integer = empty ? 0.0f : 127.0f / top;
      const float factor = empty ? 0.0f : (top / 127.0f) / fold(sum);
      for (std::size_t i = 0; i < n; ++i) e[i] = static_cast<float>(rne(e[i] * to_integer));
      for (std::size_t d = 0; d < args.D; ++d) {
        std::int32_t acc = 0;
        for (std::size_t i = 0; i < n; ++i) acc += static_cast<std::int32_t>(e[i]) * v[i * row + d];
        out[d] = static_cast<float>(acc) * factor;
      }
    }
}

}  // namespace sanderling
