#include "calibrate.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "statistics.h"

namespace sanderling {
namespace {

// Runs a pass from a fresh state and hands every block to collect(its part, its first token).
template <typename Collect>
void pass(Forward* forward, State* state, const Calibration& cal, const float* x, std::size_t tokens, Until until, Collect collect) {
  state->reset();
  for (std::size_t t = 0; t < tokens; t += state->max_tokens) {
    Part part = {state, &cal, x + t * patch_samples * state->channels, std::min(state->max_tokens, tokens - t), 0};
    forward->block(&part, 1, until, until != Until::memory);
    collect(part, t);
    forward->advance();
  }
}

// Least spread of each component: a reference in which a channel stands still must not make every tremor an anomaly.
constexpr float comp_floor[n_components] = {0.3f, 0.3f, 2.0f, 0.15f, 0.6f, 0.15f, 1.0f, 0.3f};

// 1 / ln 10: an exponential tail is a spread times ln 10 wider at the 99th percentile than at the 90th.
constexpr float per_decade = 0.43429448f;

// The element ceil(percent / 100 n) - 1 of the sorted values.
float percentile(const float* values, std::size_t n, std::size_t percent, float* work) {
  float* rank = work + (percent * n + 99) / 100 - 1;
  std::copy(values, values + n, work);
  std::nth_element(work, rank, work + n);
  return *rank + 0.0f;
}

// A reference's samples x [8 tokens][channels].
struct Recording {
  const float* x;
  std::size_t channels, tokens;
};

// How much of its level a channel's raw windows lose (section 8, step 2), from the medians of the distances with and without it. A channel
// whose level wanders is never near its own past: there the level is noise, and the shape must speak.
constexpr float most_level = 0.75f, least_raw = 1.0f, steady = 0.2f, per_share = 3.3333333f;

float level_of(float whole, float shape) {
  const float wide = std::max(whole, least_raw);
  const float share = (whole * whole - shape * shape) / (wide * wide);
  return most_level * std::min(std::max((share - steady) * per_share, 0.0f), 1.0f);
}

// A switch, a channel of at most two values, says what somebody set and not what a sensor felt: it has no voice in the mean over channels
// (section 8, step 1), unless there are only switches. x: the channel's first sample.
bool is_switch(const float* x, std::size_t samples, std::size_t stride) {
  float value[2] = {};
  std::size_t values = 0;
  for (std::size_t i = 0; i < samples; ++i) {
    const float v = x[i * stride];
    if (!std::isfinite(v) || std::find(value, value + values, v) != value + values) continue;
    if (values == 2) return false;
    value[values++] = v;
  }
  return true;
}

void find_voices(const float* x, std::size_t samples, std::size_t channels, float* voice) {
  for (std::size_t c = 0; c < channels; ++c) voice[c] = is_switch(x + c, samples, channels) ? 0.0f : 1.0f;
  if (std::none_of(voice, voice + channels, [](float v) { return v > 0.0f; })) std::fill_n(voice, channels, 1.0f);
}

// The rows of a memory: the middles of `rows` equal stretches of [first, end).
void place_positions(std::int32_t* pos, std::size_t rows, std::size_t first, std::size_t end) {
  for (std::size_t j = 0; j < rows; ++j)
    pos[j] = static_cast<std::int32_t>(first + (2 * static_cast<std::uint64_t>(j) + 1) * (end - first) / (2 * rows));
}

void collect_memory(const Forward& forward, const Part& part, Calibration* cal, std::size_t first) {
  const std::size_t M = cal->rows;
  for (std::size_t j = 0; j < M; ++j) {
    const std::size_t token = static_cast<std::size_t>(cal->pos[j]);
    if (token < first || token >= first + part.T) continue;
    for (std::size_t c = 0; c < cal->channels; ++c) {
      const std::size_t row = part.row_of(c, token - first);
      for (std::size_t head = 0; head < metric_heads; ++head) {
        const std::size_t from = head * forward.rows + row, to = (c * metric_heads + head) * M + j;
        std::memcpy(cal->metric + to * head_dim, forward.um + from * head_dim, head_dim);
        cal->metric_scale[to] = forward.um_scale[from];
      }
    }
  }
}

void collect_raw(const Part& part, Calibration* cal, std::size_t first) {
  const std::size_t N = cal->raw_rows, begin = first * patch_samples, end = begin + part.T * patch_samples;
  float row[raw_window];
  for (std::size_t j = 0; j < N; ++j) {
    const auto sample = static_cast<std::size_t>(cal->raw_pos[j]);
    if (sample < begin || sample >= end) continue;
    for (std::size_t w = 0; w < n_raw; ++w)
      for (std::size_t c = 0; c < cal->channels; ++c) {
        const std::size_t n = raw_samples[w], to = c * N + j;
        part.state->raw_row(w, c, sample - begin, cal->level[c], row);
        part.state->weights->kernels->quantize_rows(row, cal->raw[w].rows + to * n, cal->raw[w].scale + to, 1, n);
      }
  }
}

// values [tokens] of the tokens from `warm` on whose raw windows hold no missing sample of the channels first .. last - 1, to `to`, which may
// be values; their number. What fills a gap looks odd to the rest. All from `warm` on where fewer than half would be left.
std::size_t keep_whole(const Recording& of, std::size_t first, std::size_t last, std::size_t warm, const float* values, float* to) {
  const auto each = [&](auto visit) {
    std::size_t there = raw_window;  // samples in a row
    for (std::size_t t = 0; t < of.tokens; ++t) {
      for (const float* at = of.x + t * patch_samples * of.channels; at < of.x + (t + 1) * patch_samples * of.channels; at += of.channels)
        there = std::all_of(at + first, at + last, [](float v) { return std::isfinite(v); }) ? there + 1 : 0;
      if (t >= warm && there >= raw_window) visit(t);
    }
  };
  std::size_t whole = 0, n = 0;
  each([&](std::size_t) { ++whole; });
  if (2 * whole >= of.tokens - warm)
    each([&](std::size_t t) { to[n++] = values[t]; });
  else
    for (std::size_t t = warm; t < of.tokens; ++t) to[n++] = values[t];
  return n;
}

}  // namespace

void Calibrator::place(Arena& arena, std::size_t channels, std::size_t samples) {
  const std::size_t tokens = samples / patch_samples;
  sorted = arena.take<float>(samples);
  components = arena.take<float>(channels * n_components * tokens);
  smoothed = arena.take<float>(channels * tokens);
  scores = arena.take<float>(tokens);
  across = arena.take<float>(channels);
  whole = arena.take<float>(channels);
}

// Of each channel the lower median distance of the reference's raw windows, with the levels that `cal` has.
void Calibrator::raw_medians(const Reference& of, float* median) {
  const std::size_t tokens = of.tokens;
  pass(of.forward, of.state, *of.cal, of.x, tokens, Until::samples, [&](const Part& part, std::size_t t) { collect_raw(part, of.cal, t); });
  of.cal->pack_raw(*of.forward->weights->kernels);
  pass(of.forward, of.state, *of.cal, of.x, tokens, Until::distances, [&](const Part& part, std::size_t t) {
    for (std::size_t row = 0; row < of.forward->rows; ++row)
      smoothed[row / part.T * tokens + t + row % part.T] = of.forward->comp[row * n_components + 2];
  });
  for (std::size_t c = 0; c < of.cal->channels; ++c) median[c] = lower_median(smoothed + c * tokens + of.warm, tokens - of.warm);
}

void Calibrator::find_levels(const Reference& of) {
  const std::size_t C = of.cal->channels;
  std::fill_n(of.cal->level, C, 0.0f);
  raw_medians(of, whole);
  std::fill_n(of.cal->level, C, 1.0f);
  raw_medians(of, across);
  for (std::size_t c = 0; c < C; ++c) of.cal->level[c] = level_of(whole[c], across[c]);
}

void Calibrator::run(Forward* forward, State* state, Calibration* cal, const float* x, std::size_t samples, bool standard_scaling, float false_alarms,
                     float period_s) {
  const std::size_t C = cal->channels, tokens = samples / patch_samples;
  // Tokens whose receptive field reaches before the recording look odd to the rest: they do not count in the statistics.
  const Config& config = forward->weights->config;
  const std::size_t warm = std::min<std::size_t>(config.n_layers * config.window, tokens / 4), counted = tokens - warm;
  // Of a short reference at most half: what is left must still be its memory.
  cal->left_out = std::min<std::size_t>(config.loo_block, tokens / 4);
  for (std::size_t c = 0; c < C; ++c)
    location_spread(x + c, samples, C, standard_scaling, sorted, &cal->location[c], &cal->spread[c]);

  find_voices(x, samples, C, cal->voice);

  place_positions(cal->pos, cal->rows, 0, tokens);
  place_positions(cal->raw_pos, cal->raw_rows, raw_window - 1, tokens * patch_samples);
  find_levels({forward, state, cal, x, tokens, warm});
  pass(forward, state, *cal, x, tokens, Until::memory, [&](const Part& part, std::size_t t) {
    collect_memory(*forward, part, cal, t);
    collect_raw(part, cal, t);
  });
  cal->pack(*forward->weights->kernels);

  pass(forward, state, *cal, x, tokens, Until::components, [&](const Part& part, std::size_t t) {
    for (std::size_t row = 0; row < forward->rows; ++row)
      for (std::size_t k = 0; k < n_components; ++k)
        components[(row / part.T * n_components + k) * tokens + t + row % part.T] = forward->comp[row * n_components + k];
  });
  for (std::size_t i = 0; i < C * n_components; ++i) {
    float* values = components + i * tokens + warm;
    const float center = lower_median(values, counted);
    for (std::size_t t = 0; t < counted; ++t) values[t] = std::fabs(values[t] - center);
    cal->comp_center[i] = center;
    cal->comp_spread[i] = std::max({1.4826f * lower_median(values, counted), 0.1f * std::fabs(center), comp_floor[i % n_components]});
  }

  cal->weigh(forward->weights->fusion);
  // Pass C asks for s_bar alone; its score_c is not read.
  std::fill_n(cal->offset, C, 0.0f);
  std::fill_n(cal->tail, C, 1.0f);
  float* network = components;  // their statistics are taken
  pass(forward, state, *cal, x, tokens, Until::scores, [&](const Part& part, std::size_t t) {
    for (std::size_t c = 0; c < C; ++c) {
      std::memcpy(smoothed + c * tokens + t, forward->smoothed + c * part.T, part.T * sizeof *smoothed);
      std::memcpy(network + c * tokens + t, forward->network + c * part.T, part.T * sizeof *network);
    }
  });
  for (std::size_t c = 0; c < C; ++c) {
    const std::size_t n = keep_whole({x, C, tokens}, c, c + 1, warm, smoothed + c * tokens, scores);
    cal->offset[c] = percentile(scores, n, 99, sorted);
    cal->tail[c] = std::max((cal->offset[c] - percentile(scores, n, 90, sorted)) * per_decade, least_tail);
    cal->base[c] = lower_median(network + c * tokens + warm, counted);
  }
  for (std::size_t t = warm; t < tokens; ++t) {
    for (std::size_t c = 0; c < C; ++c) across[c] = positive((smoothed[c * tokens + t] - cal->offset[c]) / cal->tail[c]);
    scores[t] = aggregate(across, cal->voice, C, forward->weights->config.top_k);
  }
  const std::size_t n = keep_whole({x, C, tokens}, 0, C, warm, scores, scores);
  const float threshold = decide_threshold(scores, n, false_alarms, period_s, sorted);
  cal->keys = {static_cast<std::uint32_t>(C), static_cast<std::uint32_t>(samples), standard_scaling, false_alarms, period_s, threshold};
}

}  // namespace sanderling
