#include <algorithm>
#include <cmath>
#include <cstring>

#include "../core/math.h"
#include "forward.h"

namespace sanderling {
namespace {

float mean_distance(const float* y, const float* expected) {
  float sum = 0.0f;
  for (std::size_t k = 0; k < patch_samples; ++k) sum += std::fabs(y[k] - expected[k]);
  return sum * 0.125f;
}

// softmin says -1 when every row was left out.
float distance(float softmin) { return softmin < 0.0f ? 0.0f : std::sqrt(softmin); }

}  // namespace

// Section 6, the queries of both memories: um from the embedding (unit rows a head), uw from the last 64 samples of y.
void Forward::queries() {
  const KernelTable& k = *weights->kernels;
  project(z, weights->metric, r);
  for (std::size_t i = 0; i < rows * metric_heads; ++i) {
    const std::size_t row = i / metric_heads, head = i % metric_heads;
    const float* from = r + i * head_dim;
    float* to = unit + (head * rows + row) * head_dim;
    const float inv = 1.0f / std::sqrt(lane_sum_squares(from, head_dim, 0.0f) + 1e-12f);
    for (std::size_t j = 0; j < head_dim; ++j) to[j] = from[j] * inv;
  }
  k.quantize_rows(unit, um, um_scale, metric_heads * rows, head_dim);

  for (std::size_t c = 0; c < channels; ++c)
    for (std::size_t t = 0; t < T; ++t)
      std::memcpy(window + (c * T + t) * raw_window, signal(0, c) + (t + 1) * patch_samples - raw_window, raw_window * sizeof *window);
  k.quantize_rows(window, uw, uw_scale, rows, raw_window);
}

// Section 6 and its normalisation.
void Forward::components(const Calibration& cal, bool leave_out) {
  for (std::size_t c = 0; c < channels; ++c) {
    memory_distances(c, cal, leave_out);
    prediction_errors(c);
    for (std::size_t row = c * T; row < (c + 1) * T; ++row) {
      const float* x = x_scaled + row * patch_samples;
      const float* w = window + row * raw_window;
      float* out = comp + row * n_components;
      out[6] = 0.0f;
      for (std::size_t i = 0; i < patch_samples; ++i) out[6] = std::max(out[6], std::fabs(x[i]));
      const float mean = lane_sum(w, raw_window) / static_cast<float>(raw_window);
      out[7] = std::sqrt(lane_sum_squares(w, raw_window, mean) / static_cast<float>(raw_window));
    }
  }
}

// c0, c1, c2.
void Forward::memory_distances(std::size_t channel, const Calibration& cal, bool leave_out) {
  const KernelTable& k = *weights->kernels;
  const Config& config = weights->config;
  const std::size_t M = cal.rows, first = channel * T;
  // Rows pos[lo..hi) lie within loo_block of the token.
  const auto bound = [&](std::int64_t token) {
    return leave_out ? static_cast<std::size_t>(std::lower_bound(cal.pos, cal.pos + M, token) - cal.pos) : 0;
  };
  const auto distances = [&](std::size_t k_component, const float* norm, float inv_tau) {
    for (std::size_t t = 0; t < T; ++t) {
      const auto token = static_cast<std::int64_t>(tokens_done + t), block = static_cast<std::int64_t>(config.loo_block);
      const std::size_t row = first + t;
      const float q_norm = norm == nullptr ? 1.0f : quantised_norm(uw + row * raw_window, uw_scale[row]);
      comp[row * n_components + k_component] =
          distance(k.softmin(dot + t * M, norm, q_norm, M, inv_tau, bound(token - block + 1), bound(token + block)));
    }
  };
  for (std::size_t head = 0; head < metric_heads; ++head) {
    const std::size_t row = head * rows + first;
    k.qgemm_run(um + row * head_dim, um_scale + row, cal.packed_metric(channel, head),
                cal.metric_scale + (channel * metric_heads + head) * M, nullptr, dot, M, T, M, head_dim);
    distances(head, nullptr, 1.0f / config.metric_tau);
  }
  k.qgemm_run(uw + first * raw_window, uw_scale + first, cal.packed_raw(channel), cal.raw_scale + channel * M, nullptr, dot, M, T, M,
              raw_window);
  distances(2, cal.raw_norm + channel * M, 1.0f / config.raw_tau);
}

// c3, c4, c5. The next-patch prediction is the previous token's; a stream's first token has none.
void Forward::prediction_errors(std::size_t channel) {
  for (std::size_t t = 0; t < T; ++t) {
    const std::size_t row = channel * T + t;
    const float* y = signal(0, channel) + t * patch_samples;
    const float* own = p + row * head_width;
    const float* next = t > 0 ? own - head_width + patch_samples : predicted + channel * patch_samples;
    const float raw_log_b = t > 0 ? next[patch_samples] : log_b[channel];
    float* out = comp + row * n_components;
    out[3] = out[4] = 0.0f;
    if (tokens_done + t > 0) {
      const float lb = std::min(std::max(raw_log_b, -4.0f), 4.0f);
      out[3] = mean_distance(y, next);
      out[4] = out[3] * exp32(-lb) + lb;
    }
    out[5] = mean_distance(y, own);
  }
}

}  // namespace sanderling
