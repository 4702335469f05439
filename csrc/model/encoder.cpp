#include <cmath>
#include <cstring>

#include "forward.h"

namespace sanderling {

// Section 4. Each channel's tokens attend to the channel's own last `window` tokens.
void Forward::encode() {
  const KernelTable& k = *weights->kernels;
  const std::size_t d = weights->config.d_model;
  make_room();
  k.linear_f32(f, weights->embed_weight, weights->embed_bias, h, rows, weights->config.feature_width(), d);
  if (dynamic) std::memcpy(embedded, h, rows * d * sizeof *h);
  for (std::size_t i = 0; i < weights->config.n_layers; ++i) {
    const Layer& layer = weights->layers[i];
    if (dynamic) hold_residual(i);
    normalise(h, layer.attn_norm, a, rows);
    project(a, layer.kv, r, rows);
    k.qgemm_run(q8, q_scale, layer.q.packed, layer.q.scale, layer.q.bias, r + rows * layer.kv.N, layer.q.N, executed, layer.q.N, d,
                false);
    attend(i);
    project(o, layer.out, h, executed, true);
    normalise(h, layer.ffn_norm, a, executed);
    project(a, layer.ffn_up, r, executed);
    k.gelu(r, r, executed * layer.ffn);
    project(r, layer.ffn_down, h, executed, true);
  }
  normalise(h, weights->norm, z, executed);
}

// r (K | V of every row, then Q of the executed ones) -> o. K and V join the channel's history, as quantised once.
void Forward::attend(std::size_t i) {
  const KernelTable& k = *weights->kernels;
  const Layer& layer = weights->layers[i];
  const std::size_t H = layer.heads, width = H * head_dim;
  k.quantize_rows(r, r8, r_scale, (2 * rows + executed) * H, head_dim);
  const std::int8_t* query = r8 + rows * 2 * width;
  const float* query_s = r_scale + rows * 2 * H;
  for (std::size_t c = 0; c < channels; ++c) {
    std::int8_t* key = keys[i] + c * kv_capacity * width;
    std::int8_t* value = values[i] + c * kv_capacity * width;
    float* key_s = key_scale[i] + c * kv_capacity * H;
    float* value_s = value_scale[i] + c * kv_capacity * H;
    for (std::size_t t = 0; t < T; ++t) {
      const std::int8_t* from = r8 + slot[c * T + t] * 2 * width;
      const float* from_s = r_scale + slot[c * T + t] * 2 * H;
      const std::size_t at = kv_tokens + t;
      std::memcpy(key + at * width, from, width);
      std::memcpy(value + at * width, from + width, width);
      std::memcpy(key_s + at * H, from_s, H * sizeof *from_s);
      std::memcpy(value_s + at * H, from_s + H, H * sizeof *from_s);
    }
    // A run of executed tokens at a time: their slots follow one another.
    for (std::size_t t = 0, end = 0; t < T; t = end + 1) {
      for (end = t; end < T && !skipped[c * T + end];) ++end;
      if (end == t) continue;
      const std::size_t first = slot[c * T + t];
      k.attention({query + first * width, key, value, query_s + first * H, key_s, value_s, layer.attn_bias,
                   1.0f / std::sqrt(static_cast<float>(head_dim)), end - t, kv_tokens + t, H, head_dim, weights->config.window,
                   o + first * width, attention_floats});
    }
  }
}

// Keeps the last window - 1 tokens when the block would not fit behind the history.
void Forward::make_room() {
  const std::size_t keep = weights->config.window - 1;
  if (kv_tokens + T <= kv_capacity) return;
  const std::size_t drop = kv_tokens - keep;
  for (std::size_t i = 0; i < weights->config.n_layers; ++i) {
    const std::size_t H = weights->layers[i].heads;
    const auto shift = [&](auto* history_of_layer, std::size_t item) {
      for (std::size_t c = 0; c < channels; ++c) {
        auto* base = history_of_layer + c * kv_capacity * item;
        std::memmove(base, base + drop * item, keep * item * sizeof *base);
      }
    };
    shift(keys[i], H * head_dim);
    shift(values[i], H * head_dim);
    shift(key_scale[i], H);
    shift(value_scale[i], H);
  }
  kv_tokens = keep;
}

}  // namespace sanderling
