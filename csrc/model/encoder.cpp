#include <algorithm>
#include <cmath>
#include <cstring>

#include "forward.h"
#include "layer.h"

namespace sanderling {

// Section 4. Each channel's tokens attend to the channel's own last `window` tokens. The steps of a layer go over ranges of rows:
// keys and values before any attention to them.
void Forward::encode() {
  const KernelTable& k = *weights->kernels;
  const std::size_t d = weights->config.d_model, width = weights->config.feature_width();
  const Part* const end = parts_ + n_parts_;
  for (const Part* part = parts_; part < end; ++part) part->state->make_room(part->T);
  parallel(rows, [&](std::size_t first, std::size_t n, const Scratch&) {
    k.linear_f32(f + first * width, weights->embed_weight, weights->embed_bias, h + first * d, n, width, d);
  });
  if (any_dynamic_) std::memcpy(embedded, h, rows * d * sizeof *h);
  for (std::size_t i = 0; i < weights->config.n_layers; ++i) {
    const Layer& layer = weights->layers[i];
    if (any_dynamic_)
      for (const Part* part = parts_; part < end; ++part)
        if (part->state->dynamic) hold_residual(*part, i);
    const auto store = [&](std::size_t first, std::size_t n) {
      each_run(first, n, [&](const Run& run) { store_keys_values(run, i); });
    };
    const bool in_order = executed == rows;  // a row's slot is the row: the same range can go on
    parallel(rows, [&](std::size_t first, std::size_t n, const Scratch& scratch) {
      project_layer(layer, first, n, scratch);
      if (in_order) store(first, n);
    });
    if (!in_order) store(0, rows);
    parallel(rows, [&](std::size_t first, std::size_t n, const Scratch& scratch) {
      each_run(first, n, [&](const Run& run) { attend(run, i, scratch); });
      if (in_order) finish_layer(layer, first, n, scratch);
    });
    if (!in_order)
      parallel(executed, [&](std::size_t first, std::size_t n, const Scratch& scratch) { finish_layer(layer, first, n, scratch); });
  }
  normalise(h, weights->norm, z, executed);
}

// h -> r: K | V of the slots first .. first + n - 1, and q_heads of those that are executed.
void Forward::project_layer(const Layer& layer, std::size_t first, std::size_t n, const Scratch& scratch) {
  const KernelTable& k = *weights->kernels;
  const std::size_t d = weights->config.d_model, queries = first < executed ? std::min(n, executed - first) : 0;
  std::int8_t* q = q8 + first * d;
  float* scale = q_scale + first;
  LayerStep{k, layer, d, 1e-5f, scratch.norm}.attention_input(h + first * d, q, scale, n);
  k.qgemm_run(q, scale, layer.kv.packed, layer.kv.scale, layer.kv.bias, r + first * layer.kv.N, layer.kv.N, n, layer.kv.N, d, false);
  float* query = r + rows * layer.kv.N + first * layer.q.N;
  k.qgemm_run(q, scale, layer.q.packed, layer.q.scale, layer.q.bias, query, layer.q.N, queries, layer.q.N, d, false);
  k.quantize_rows(query, q_heads + first * layer.q.N, q_heads_scale + first * layer.heads, queries * layer.heads, head_dim);
}

// o -> h of the slots first .. first + n - 1: what follows the attention. Each range has its own room in q8 and r, whatever the widths.
void Forward::finish_layer(const Layer& layer, std::size_t first, std::size_t n, const Scratch& scratch) {
  const std::size_t d = weights->config.d_model;
  LayerStep{*weights->kernels, layer, d, 1e-5f, scratch.norm}.finish(
      o + first * layer.out.K, h + first * d, q8 + first * weights->widest_input(), q_scale + first, r + first * weights->widest_output(), n);
}

// q_heads and the history -> o, a run of executed tokens at a time: their slots follow one another.
void Forward::attend(const Run& run, std::size_t i, const Scratch& scratch) {
  const Layer& layer = weights->layers[i];
  const State& s = *run.part->state;
  const std::size_t H = layer.heads, width = H * head_dim, at = run.c * s.kv_capacity;
  const std::uint8_t* skip = skipped + run.part->row_of(run.c, 0);
  for (std::size_t t = run.first, end = 0; t < run.last; t = end + 1) {
    for (end = t; end < run.last && !skip[end];) ++end;
    if (end == t) continue;
    const std::size_t first = slot[run.part->row_of(run.c, t)];
    weights->kernels->attention({q_heads + first * width, s.keys[i] + at * width, s.values[i] + at * width, q_heads_scale + first * H,
                                 s.key_scale[i] + at * H, s.value_scale[i] + at * H, layer.attn_bias,
                                 1.0f / std::sqrt(static_cast<float>(head_dim)), end - t, s.kv_tokens + t, H, head_dim,
                                 weights->config.window, o + first * width, scratch.attention});
  }
}

// r (K | V) joins the channel's history, quantised on the way; a run of tokens whose slots follow one another at a time.
void Forward::store_keys_values(const Run& run, std::size_t i) {
  const KernelTable& k = *weights->kernels;
  const State& s = *run.part->state;
  const std::size_t H = weights->layers[i].heads, width = H * head_dim;
  const std::uint32_t* from = slot + run.part->row_of(run.c, 0);
  for (std::size_t t = run.first, end = 0; t < run.last; t = end) {
    for (end = t + 1; end < run.last && from[end] == from[end - 1] + 1;) ++end;
    const float* k_and_v = r + from[t] * 2 * width;
    const std::size_t at = run.c * s.kv_capacity + s.kv_tokens + t;
    k.quantize_heads(k_and_v, 2 * width, s.keys[i] + at * width, width, s.key_scale[i] + at * H, H, end - t, H, head_dim);
    k.quantize_heads(k_and_v + width, 2 * width, s.values[i] + at * width, width, s.value_scale[i] + at * H, H, end - t, H, head_dim);
  }
}

}  // namespace sanderling
