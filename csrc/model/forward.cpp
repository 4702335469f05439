#include "forward.h"

#include <algorithm>
#include <cstring>

namespace sanderling {

void Forward::place(Arena& arena, const Weights& model, std::size_t n_channels, MemoryShape memory, std::size_t threads) {
  const Config& c = model.config;
  const std::size_t d = c.d_model, C = n_channels, graph = c.graph_heads * head_dim;
  weights = &model;
  const std::size_t tokens = State::block_tokens(C);
  max_rows = C * tokens;
  const std::size_t R = max_rows;
  std::size_t heads = std::max<std::size_t>(metric_heads, c.graph_heads);
  for (std::size_t i = 0; i < c.n_layers; ++i) heads = std::max<std::size_t>(heads, c.n_heads[i]);

  silent = arena.take<std::uint8_t>(R * patch_samples);
  skipped = arena.take<std::uint8_t>(R);
  calm = arena.take<std::uint8_t>(R);
  slot = arena.take<std::uint32_t>(R);
  x_scaled = arena.take<float>(R * patch_samples);
  valid = arena.take<float>(R * patch_samples);
  detail = arena.take<float>(patch_samples * tokens);
  coarse = arena.take<float>(patch_samples * tokens);
  f = arena.take<float>(R * c.feature_width());
  embedded = arena.take<float>(R * d);
  h = arena.take<float>(R * d);
  a = arena.take<float>(R * d);
  z = arena.take<float>(R * d);
  p = arena.take<float>(R * head_width);
  r = arena.take<float>(R * model.widest_output());
  o = arena.take<float>(R * heads * head_dim);
  in = arena.take<float>(R * (d + 16));
  q8 = arena.take<std::int8_t>(R * model.widest_input());
  q_scale = arena.take<float>(R);
  // Q of a layer; Q, K, V of one patch in the decoder, or of all patches of single channels.
  const std::size_t nodes = C == 1 ? R : C;
  q_heads = arena.take<std::int8_t>(R * heads * head_dim);
  q_heads_scale = arena.take<float>(R * heads);
  k_heads = arena.take<std::int8_t>(nodes * graph);
  v_heads = arena.take<std::int8_t>(nodes * graph);
  k_heads_scale = arena.take<float>(nodes * c.graph_heads);
  v_heads_scale = arena.take<float>(nodes * c.graph_heads);
  graph_out = arena.take<float>(C * graph);
  um = arena.take<std::int8_t>(metric_heads * R * head_dim);
  um_scale = arena.take<float>(metric_heads * R);
  for (std::size_t w = 0; w < n_raw; ++w) {
    uw[w] = arena.take<std::int8_t>(R * raw_samples[w]);
    uw_scale[w] = arena.take<float>(R);
    weighted[w] = arena.take<float>(R * raw_samples[w]);
  }
  unit = arena.take<float>(metric_heads * R * head_dim);
  dot_tokens = std::min(tokens, block_queries);
  for (std::size_t i = 0; i < threads; ++i)
    scratch_[i] = {arena.take<float>(dot_tokens * std::max(metric_heads * dot_stride(memory.metric), dot_stride(memory.raw))),
                   arena.take<float>(std::max(attention_work(c.window), attention_full_work(C, head_dim))), arena.take<float>(norm_quantize_rows * d)};
  comp = arena.take<float>(R * n_components);
  level = arena.take<float>(R * n_components);
  smoothed = arena.take<float>(R);
  token_score = arena.take<float>(R);
  network = arena.take<float>(R);
  logit = arena.take<float>(R);
}

void Forward::run(Part* parts, std::size_t n_parts, Until until, bool leave_out) {
  block(parts, n_parts, until, leave_out);
  advance();
}

void Forward::block(Part* parts, std::size_t n_parts, Until until, bool leave_out) {
  parts_ = parts;
  n_parts_ = n_parts;
  const bool live = until == Until::scores && !leave_out;
  rows = executed = 0;
  any_dynamic_ = false;
  for (Part* part = parts; part < parts + n_parts; ++part) {
    part->row = rows;
    rows = part->end();
    any_dynamic_ = any_dynamic_ || (part->state->dynamic && live);
    clean(*part);
    raw_queries(*part);
  }
  for (std::size_t w = 0; w < n_raw; ++w) weights->kernels->quantize_rows(weighted[w], uw[w], uw_scale[w], rows, raw_samples[w]);
  if (until != Until::samples && until != Until::memory)
    parallel(rows, [&](std::size_t first, std::size_t n, const Scratch& scratch) {
      each_run(first, n, [&](const Run& run) { cheap_components(run, leave_out, scratch); });
    });
  for (const Part* part = parts; part < parts + n_parts; ++part) choose(*part, part->state->dynamic && live);
  if (until == Until::samples || until == Until::distances) return;
  place_skipped();
  for (const Part* part = parts; part < parts + n_parts; ++part) features(*part);
  encode();
  metric_queries();
  if (until == Until::memory) return;
  decode();
  parallel(rows, [&](std::size_t first, std::size_t n, const Scratch& scratch) {
    each_run(first, n, [&](const Run& run) { metric_distances(run, leave_out, scratch); });
  });
  for (const Part* part = parts; part < parts + n_parts; ++part) components(*part);
  if (until == Until::scores) score();
}

void Forward::advance() {
  for (const Part* part = parts_; part < parts_ + n_parts_; ++part) advance(*part);
}

// The block's last predictions, samples, keys and values become the next block's past.
void Forward::advance(const Part& part) {
  State& s = *part.state;
  for (std::size_t row = part.row; row < part.end(); ++row) s.tokens_skipped += skipped[row];
  for (std::size_t c = 0; c < s.channels; ++c) {
    const std::size_t row = part.row_of(c, part.T - 1);
    s.gap_before[c] = skipped[row];
    if (skipped[row]) continue;
    const float* last = p + slot[row] * head_width;
    std::memcpy(s.predicted + c * patch_samples, last + patch_samples, patch_samples * sizeof *last);
    s.log_b[c] = last[2 * patch_samples];
  }
  s.forget(part.T);
}

void Forward::normalise(const float* x, const Norm& norm, float* y, std::size_t n) {
  weights->kernels->layer_norm(x, norm.gain, norm.bias, y, n, weights->config.d_model, 1e-5f);
}

void Forward::multiply(const QLinear& linear, float* y, std::size_t n, bool add) {
  weights->kernels->qgemm_run(q8, q_scale, linear.packed, linear.scale, linear.bias, y, linear.N, n, linear.N, linear.K, add);
}

void Forward::project(const float* x, const QLinear& linear, float* y, std::size_t n, bool add) {
  weights->kernels->quantize_rows(x, q8, q_scale, n, linear.K);
  multiply(linear, y, n, add);
}

}  // namespace sanderling
