#include "forward.h"

#include <algorithm>
#include <cstring>

namespace sanderling {
namespace {

// Enough rows for the GEMM kernels to reuse their weights, few enough for the work to stay in a small L2.
constexpr std::size_t block_rows = 128;

}  // namespace

void Forward::place(Arena& arena, const Weights& model, std::size_t n_channels, MemoryShape memory) {
  const Config& c = model.config;
  const std::size_t d = c.d_model, C = n_channels, graph = c.graph_heads * head_dim;
  weights = &model;
  channels = C;
  max_tokens = std::max<std::size_t>(1, block_rows / C);
  const std::size_t R = C * max_tokens, n = patch_samples * max_tokens;

  cell = arena.take<Cell>(C);
  for (std::size_t s = 0; s < c.levels; ++s) {
    history[s] = (model.n_taps - 1) << s;
    if (s == 0) history[s] = std::max(history[s], raw_window - 1);
    smooth[s] = arena.take<float>(C * (history[s] + n));
  }
  // Room for more than one block, so that a one-channel stream moves its history rarely.
  kv_capacity = c.window - 1 + std::max<std::size_t>(max_tokens, 16);
  std::size_t heads = std::max<std::size_t>(metric_heads, c.graph_heads);
  for (std::size_t i = 0; i < c.n_layers; ++i) {
    const std::size_t H = c.n_heads[i];
    heads = std::max(heads, H);
    keys[i] = arena.take<std::int8_t>(C * kv_capacity * H * head_dim);
    values[i] = arena.take<std::int8_t>(C * kv_capacity * H * head_dim);
    key_scale[i] = arena.take<float>(C * kv_capacity * H);
    value_scale[i] = arena.take<float>(C * kv_capacity * H);
  }
  predicted = arena.take<float>(C * patch_samples);
  log_b = arena.take<float>(C);
  residual = arena.take<float>(c.n_layers * C * d);
  run_length = arena.take<std::uint32_t>(C);
  gap_before = arena.take<std::uint8_t>(C);
  held = arena.take<float>(C);
  last_score = arena.take<float>(C);
  logits = arena.take<float>(C * max_smooth);

  silent = arena.take<std::uint8_t>(C * n);
  skipped = arena.take<std::uint8_t>(R);
  calm = arena.take<std::uint8_t>(R);
  slot = arena.take<std::uint32_t>(R);
  first_slot = arena.take<std::uint32_t>(C + 1);
  x_scaled = arena.take<float>(C * n);
  valid = arena.take<float>(C * n);
  detail = arena.take<float>(n);
  coarse = arena.take<float>(n);
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
  r8 = arena.take<std::int8_t>(R * 3 * heads * head_dim);
  r_scale = arena.take<float>(R * 3 * heads);
  // Q, K, V of one patch.
  q_heads = arena.take<std::int8_t>(C * graph);
  q_heads_scale = arena.take<float>(C * c.graph_heads);
  k_heads = arena.take<std::int8_t>(C * graph);
  v_heads = arena.take<std::int8_t>(C * graph);
  k_heads_scale = arena.take<float>(C * c.graph_heads);
  v_heads_scale = arena.take<float>(C * c.graph_heads);
  graph_out = arena.take<float>(C * graph);
  attention_floats = arena.take<float>(attention_work(std::max<std::size_t>(c.window, C)));
  um = arena.take<std::int8_t>(metric_heads * R * head_dim);
  um_scale = arena.take<float>(metric_heads * R);
  uw = arena.take<std::int8_t>(R * raw_window);
  uw_scale = arena.take<float>(R);
  weighted = arena.take<float>(R * raw_window);
  unit = arena.take<float>(metric_heads * R * head_dim);
  dot = arena.take<float>(max_tokens * std::max(memory.metric, memory.raw));
  comp = arena.take<float>(R * n_components);
  level = arena.take<float>(R * n_components);
  smoothed = arena.take<float>(R);
  token_score = arena.take<float>(R);
  network = arena.take<float>(R);
  logit = arena.take<float>(R);
}

void Forward::reset() {
  std::memset(cell, 0, channels * sizeof *cell);
  std::memset(residual, 0, weights->config.n_layers * channels * weights->config.d_model * sizeof *residual);
  std::memset(run_length, 0, channels * sizeof *run_length);
  std::memset(gap_before, 0, channels);
  std::memset(last_score, 0, channels * sizeof *last_score);
  tokens_done = kv_tokens = n_logits = 0;
  tokens_skipped = 0;
}

void Forward::run(const float* x, std::size_t tokens, const Calibration& cal, Until until, bool leave_out) {
  block(x, tokens, cal, until, leave_out);
  advance();
}

void Forward::block(const float* x, std::size_t tokens, const Calibration& cal, Until until, bool leave_out) {
  T = tokens;
  rows = channels * T;
  clean(x, cal);
  raw_queries();
  if (until != Until::memory) cheap_components(cal, leave_out);
  choose(cal, dynamic && until == Until::scores && !leave_out);
  features();
  encode();
  metric_queries();
  if (until != Until::memory) {
    decode();
    components(cal, leave_out);
    if (until == Until::scores) score(cal);
  }
}

// The block's last samples and predictions become the next block's past.
void Forward::advance() {
  const std::size_t n = patch_samples * T;
  for (std::size_t s = 0; s < weights->config.levels; ++s)
    for (std::size_t c = 0; c < channels; ++c) {
      float* past = signal(s, c) - history[s];
      std::memmove(past, past + n, history[s] * sizeof *past);
    }
  for (std::size_t c = 0; c < channels; ++c) {
    const std::size_t row = c * T + T - 1;
    gap_before[c] = skipped[row];
    if (skipped[row]) continue;
    const float* last = p + slot[row] * head_width;
    std::memcpy(predicted + c * patch_samples, last + patch_samples, patch_samples * sizeof *last);
    log_b[c] = last[2 * patch_samples];
  }
  tokens_skipped += rows - executed;
  kv_tokens += T;
  tokens_done += T;
}

float* Forward::signal(std::size_t s, std::size_t channel) const {
  return smooth[s] + channel * (history[s] + patch_samples * max_tokens) + history[s];
}

void Forward::normalise(const float* x, const Norm& norm, float* y, std::size_t n) {
  weights->kernels->layer_norm(x, norm.gain, norm.bias, y, n, weights->config.d_model, 1e-5f);
}

void Forward::project(const float* x, const QLinear& linear, float* y, std::size_t n, bool add) {
  const KernelTable& k = *weights->kernels;
  k.quantize_rows(x, q8, q_scale, n, linear.K);
  k.qgemm_run(q8, q_scale, linear.packed, linear.scale, linear.bias, y, linear.N, n, linear.N, linear.K, add);
}

}  // namespace sanderling
