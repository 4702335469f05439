#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <iterator>

#include "../core/math.h"
#include "forward.h"

namespace sanderling {
namespace {

// Tokens until the raw window is full of samples, and the components that compare with a history: until then it is filled up
// with the first sample, and what looks odd in it is the filling; a prediction from so little past is off as well.
constexpr std::size_t filling = raw_window / patch_samples - 1;
constexpr std::size_t of_history[] = {0, 1, 2, 3, 4, 7};
// The components that a skipped token has.
constexpr std::size_t cheap[] = {2, 6};
// What is left of a held score a token later.
constexpr float hold_decay = 0.9f;

}  // namespace

// The end of section 6: l_k.
void Forward::normalise_components(const Part& part, std::size_t c, std::size_t t) {
  const std::size_t row = part.row_of(c, t);
  float* l = level + row * n_components;
  const auto normalise_one = [&](std::size_t i) {
    const std::size_t at = c * n_components + i;
    const float v = (comp[row * n_components + i] - part.cal->comp_center[at]) / part.cal->comp_spread[at];
    const float magnitude = log1p32(std::fabs(v));
    l[i] = v < 0.0f ? -magnitude : magnitude;
  };
  if (skipped[row]) {
    std::fill_n(l, n_components, 0.0f);
    for (const std::size_t i : cheap) normalise_one(i);
    return;
  }
  for (std::size_t i = 0; i < n_components; ++i) normalise_one(i);
  if (part.state->tokens_done + t < filling)
    for (const std::size_t i : of_history) l[i] = std::min(l[i], 0.0f);
}

void Forward::scorer_rows(const Part& part) {
  const std::size_t d = weights->config.d_model, width = d + 16;
  for (std::size_t c = 0; c < part.state->channels; ++c)
    for (std::size_t t = 0; t < part.T; ++t) {
      const std::size_t row = part.row_of(c, t);
      normalise_components(part, c, t);
      if (skipped[row]) continue;
      float* to = in + slot[row] * width;
      std::memcpy(to, z + slot[row] * d, d * sizeof *to);
      std::memcpy(to + d, level + row * n_components, n_components * sizeof *to);
      std::fill(to + d + n_components, to + width, 0.0f);
    }
}

// The end of section 6 and section 7 up to score_c.
void Forward::score() {
  for (const Part* part = parts_; part < parts_ + n_parts_; ++part) scorer_rows(*part);
  project(in, weights->fc1, r, executed);
  weights->kernels->gelu_quantize(r, q8, q_scale, executed, weights->config.scorer_hidden, {});
  multiply(weights->fc2, logit, executed);
  for (const Part* part = parts_; part < parts_ + n_parts_; ++part) smooth_scores(*part);
}

void Forward::smooth_scores(const Part& part) {
  State& state = *part.state;
  const std::size_t before = state.n_logits;
  for (std::size_t c = 0; c < state.channels; ++c) {
    float* past = state.logits + c * max_smooth;
    std::size_t n = before;
    if (state.tokens_done == 0) state.held[c] = part.cal->base[c];
    for (std::size_t row = part.row_of(c, 0); row < part.row_of(c + 1, 0); ++row) {
      const float *l = level + row * n_components, *fusion = part.cal->fusion + c * n_components;
      const float first = skipped[row] ? state.held[c] : logit[slot[row]];
      float s = first;
      network[row] = first;
      for (std::size_t i = 0; i < n_components; ++i) {
        s = std::fma(fusion[i], std::max(l[i], 0.0f), s);
        if (std::find(std::begin(cheap), std::end(cheap), i) == std::end(cheap))
          network[row] = std::fma(fusion[i], std::max(l[i], 0.0f), network[row]);
      }
      if (calm[row] && !skipped[row]) state.held[c] = network[row];
      if (n == weights->config.smooth) std::memmove(past, past + 1, --n * sizeof *past);
      past[n++] = s;
      float sum = 0.0f;
      for (std::size_t i = 0; i < n; ++i) sum += past[i];
      smoothed[row] = sum / static_cast<float>(n);
      const float score = positive((smoothed[row] - part.cal->offset[c]) / part.cal->tail[c]);
      token_score[row] = state.last_score[c] = std::max(score, hold_decay * state.last_score[c]);
    }
    state.n_logits = n;
  }
}

float positive(float v) { return v >= 0.0f ? 1.0f + v : 1.0f / (1.0f - v); }

float aggregate(float* values, const float* voices, std::size_t n, std::size_t top_k) {
  const std::size_t k = std::min(n, top_k);
  float sum = 0.0f, weight = 0.0f, loudest = 0.0f;
  for (std::size_t i = 0; i < n; ++i) {
    sum += voices[i] * values[i];
    weight += voices[i];
  }
  std::partial_sort(values, values + k, values + n, std::greater<float>());
  for (std::size_t i = 0; i < k; ++i) loudest += values[i];
  loudest /= static_cast<float>(k);
  const float mean = weight > 0.0f ? sum / weight : loudest;
  return mean == loudest ? loudest : std::sqrt(mean) * std::sqrt(std::sqrt(loudest) * std::sqrt(mean));
}

}  // namespace sanderling
