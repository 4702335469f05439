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

// sqrt(3) / 64: the weights 3 ((i + 1) / 64)^2 of the squared differences average about 1.
constexpr float ramp_step = 0.027063294f;

// softmin says -1 when every row was left out.
float distance(float softmin) { return softmin < 0.0f ? 0.0f : std::sqrt(softmin); }

// Rows pos[lo..hi) of a memory lie closer than `reach` to `at`.
struct Near {
  std::size_t lo, hi;
};

Near near(const std::int32_t* pos, std::size_t n, std::int64_t at, std::int64_t reach, bool leave_out) {
  const auto bound = [&](std::int64_t value) { return static_cast<std::size_t>(std::lower_bound(pos, pos + n, value) - pos); };
  return leave_out ? Near{bound(at - reach + 1), bound(at + reach)} : Near{0, 0};
}

}  // namespace

// Weighted so that the newest sample counts most: the distance rises as an anomaly enters and falls as it leaves.
void Forward::raw_row(std::size_t channel, std::size_t end, float* to) const {
  const float* from = signal(0, channel) + end + 1 - raw_window;
  for (std::size_t i = 0; i < raw_window; ++i) to[i] = from[i] * (static_cast<float>(i + 1) * ramp_step);
}

void Forward::raw_queries() {
  for (std::size_t c = 0; c < channels; ++c)
    for (std::size_t t = 0; t < T; ++t) raw_row(c, (t + 1) * patch_samples - 1, weighted + (c * T + t) * raw_window);
  weights->kernels->quantize_rows(weighted, uw, uw_scale, rows, raw_window);
}

// Section 6, the queries of the metric memory: unit rows a head.
void Forward::metric_queries() {
  project(z, weights->metric, r, executed);
  for (std::size_t i = 0; i < executed * metric_heads; ++i) {
    const std::size_t row = i / metric_heads, head = i % metric_heads;
    const float* from = r + i * head_dim;
    float* to = unit + (head * executed + row) * head_dim;
    const float inv = 1.0f / std::sqrt(lane_sum_squares(from, head_dim, 0.0f) + 1e-12f);
    for (std::size_t j = 0; j < head_dim; ++j) to[j] = from[j] * inv;
  }
  weights->kernels->quantize_rows(unit, um, um_scale, metric_heads * executed, head_dim);
}

// c2 and c6, which need the samples only.
void Forward::cheap_components(const Calibration& cal, bool leave_out) {
  const KernelTable& k = *weights->kernels;
  const std::size_t N = cal.raw_rows;
  const auto samples = static_cast<std::int64_t>(patch_samples), block = static_cast<std::int64_t>(cal.left_out);
  for (std::size_t c = 0; c < channels; ++c) {
    k.qgemm_run(uw + c * T * raw_window, uw_scale + c * T, cal.packed_raw(c), cal.raw_scale + c * N, nullptr, dot, N, T, N, raw_window,
                false);
    for (std::size_t t = 0; t < T; ++t) {
      const std::size_t row = c * T + t;
      const Near out = near(cal.raw_pos, N, (static_cast<std::int64_t>(tokens_done + t) + 1) * samples - 1, block * samples, leave_out);
      float* to = comp + row * n_components;
      to[2] = distance(k.softmin(dot + t * N, cal.raw_norm + c * N, quantised_norm(uw + row * raw_window, uw_scale[row]), N,
                                 1.0f / weights->config.raw_tau, out.lo, out.hi));
      const float* x = x_scaled + row * patch_samples;
      to[6] = 0.0f;
      for (std::size_t i = 0; i < patch_samples; ++i) to[6] = std::max(to[6], std::fabs(x[i]));
    }
  }
}

// Section 6 of the executed rows: the components that need the network.
void Forward::components(const Calibration& cal, bool leave_out) {
  for (std::size_t c = 0; c < channels; ++c) {
    metric_distances(c, cal, leave_out);
    prediction_errors(c, cal);
    for (std::size_t row = c * T; row < (c + 1) * T; ++row) {
      if (skipped[row]) continue;
      const float* w = signal(0, c) + (row - c * T + 1) * patch_samples - raw_window;
      const float mean = lane_sum(w, raw_window) / static_cast<float>(raw_window);
      comp[row * n_components + 7] = std::sqrt(lane_sum_squares(w, raw_window, mean) / static_cast<float>(raw_window));
    }
  }
}

// c0, c1.
void Forward::metric_distances(std::size_t channel, const Calibration& cal, bool leave_out) {
  const KernelTable& k = *weights->kernels;
  const Config& config = weights->config;
  const std::size_t M = cal.rows, first = first_slot[channel], n = first_slot[channel + 1] - first;
  for (std::size_t head = 0; head < metric_heads; ++head) {
    const std::size_t at = head * executed + first;
    k.qgemm_run(um + at * head_dim, um_scale + at, cal.packed_metric(channel, head), cal.metric_scale + (channel * metric_heads + head) * M,
                nullptr, dot, M, n, M, head_dim, false);
    for (std::size_t t = 0; t < T; ++t) {
      const std::size_t row = channel * T + t;
      if (skipped[row]) continue;
      const Near out = near(cal.pos, M, static_cast<std::int64_t>(tokens_done + t), static_cast<std::int64_t>(cal.left_out), leave_out);
      comp[row * n_components + head] =
          distance(k.softmin(dot + (slot[row] - first) * M, nullptr, 1.0f, M, 1.0f / config.metric_tau, out.lo, out.hi));
    }
  }
}

// c3, c4, c5. The next-patch prediction is the previous token's; a stream's first token has none, nor has one behind a skipped token.
void Forward::prediction_errors(std::size_t channel, const Calibration& cal) {
  for (std::size_t t = 0; t < T; ++t) {
    const std::size_t row = channel * T + t;
    if (skipped[row]) continue;
    const float* y = signal(0, channel) + t * patch_samples;
    const float* own = p + slot[row] * head_width;
    float* out = comp + row * n_components;
    out[3] = out[4] = 0.0f;
    if (t > 0 ? skipped[row - 1] != 0 : gap_before[channel] != 0) {
      std::copy_n(cal.comp_center + channel * n_components + 3, 2, out + 3);
    } else if (tokens_done + t > 0) {
      const float* next = t > 0 ? own - head_width + patch_samples : predicted + channel * patch_samples;
      const float lb = std::min(std::max(t > 0 ? next[patch_samples] : log_b[channel], -4.0f), 4.0f);
      out[3] = mean_distance(y, next);
      out[4] = out[3] * exp32(-lb) + lb;
    }
    out[5] = mean_distance(y, own);
  }
}

}  // namespace sanderling
