#include "state.h"

#include <algorithm>
#include <cstring>

#include "../core/math.h"

namespace sanderling {
namespace {

// Enough rows for the GEMM kernels to reuse their weights, few enough for the work to stay in a small L2.
constexpr std::size_t block_rows = 128;
// Of n = 64 and 16 samples sqrt(192 / n) / n: the weights of the squared differences, 192 / n ((i + 1) / n)^2, add up to about 64.
constexpr float ramp_step[n_raw] = {0.027063294f, 0.21650635f};
// 1 / (1 + 4 + ... + n^2): the level is the mean by those weights, so that taking it out leaves the least distance to any shift.
constexpr float level_step[n_raw] = {1.118068e-5f, 6.684492e-4f};

}  // namespace

std::size_t State::block_tokens(std::size_t n_channels) { return std::max<std::size_t>(1, block_rows / n_channels); }

void State::place(Arena& arena, const Weights& model, std::size_t n_channels) {
  const Config& c = model.config;
  const std::size_t C = n_channels;
  weights = &model;
  channels = C;
  max_tokens = block_tokens(C);
  cell = arena.take<Cell>(C);
  for (std::size_t s = 0; s < c.levels; ++s) {
    history[s] = (model.n_taps - 1) << s;
    if (s == 0) history[s] = std::max(history[s], raw_window - 1);
    smooth[s] = arena.take<float>(C * (history[s] + patch_samples * max_tokens));
  }
  // Room for more than one block, so that a one-channel stream moves its history rarely.
  kv_capacity = c.window - 1 + std::max<std::size_t>(max_tokens, 16);
  for (std::size_t i = 0; i < c.n_layers; ++i) {
    const std::size_t H = c.n_heads[i];
    keys[i] = arena.take<std::int8_t>(C * kv_capacity * H * head_dim);
    values[i] = arena.take<std::int8_t>(C * kv_capacity * H * head_dim);
    key_scale[i] = arena.take<float>(C * kv_capacity * H);
    value_scale[i] = arena.take<float>(C * kv_capacity * H);
  }
  predicted = arena.take<float>(C * patch_samples);
  log_b = arena.take<float>(C);
  residual = arena.take<float>(c.n_layers * C * c.d_model);
  run_length = arena.take<std::uint32_t>(C);
  gap_before = arena.take<std::uint8_t>(C);
  held = arena.take<float>(C);
  last_score = arena.take<float>(C);
  logits = arena.take<float>(C * max_smooth);
}

void State::reset() {
  std::memset(cell, 0, channels * sizeof *cell);
  std::memset(residual, 0, weights->config.n_layers * channels * weights->config.d_model * sizeof *residual);
  std::memset(run_length, 0, channels * sizeof *run_length);
  std::memset(gap_before, 0, channels);
  std::memset(last_score, 0, channels * sizeof *last_score);
  tokens_done = kv_tokens = n_logits = 0;
  tokens_skipped = 0;
}

float* State::signal(std::size_t s, std::size_t channel) const {
  return smooth[s] + channel * (history[s] + patch_samples * max_tokens) + history[s];
}

// Weighted so that the newest sample counts most: the distance rises as an anomaly enters and falls as it leaves.
void State::raw_row(std::size_t w, std::size_t channel, std::size_t end, float level, float* to) const {
  const std::size_t n = raw_samples[w];
  const float* from = signal(0, channel) + end + 1 - n;
  float part[raw_window];
  for (std::size_t i = 0; i < n; ++i) part[i] = from[i] * (static_cast<float>((i + 1) * (i + 1)) * level_step[w]);
  const float shift = level * lane_sum(part, n);
  for (std::size_t i = 0; i < n; ++i) to[i] = (from[i] - shift) * (static_cast<float>(i + 1) * ramp_step[w]);
}

// Keeps the last window - 1 tokens when the block would not fit behind the history.
void State::make_room(std::size_t tokens) {
  const std::size_t keep = weights->config.window - 1;
  if (kv_tokens + tokens <= kv_capacity) return;
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

void State::forget(std::size_t tokens) {
  const std::size_t n = patch_samples * tokens;
  for (std::size_t s = 0; s < weights->config.levels; ++s)
    for (std::size_t c = 0; c < channels; ++c) {
      float* past = signal(s, c) - history[s];
      std::memmove(past, past + n, history[s] * sizeof *past);
    }
  kv_tokens += tokens;
  tokens_done += tokens;
}

}  // namespace sanderling
