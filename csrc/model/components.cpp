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

// Rows pos[lo..hi) of a memory lie closer than `reach` to `at`.
struct Near {
  std::size_t lo, hi;
};

Near near(const std::int32_t* pos, std::size_t n, std::int64_t at, std::int64_t reach, bool leave_out) {
  const auto bound = [&](std::int64_t value) { return static_cast<std::size_t>(std::lower_bound(pos, pos + n, value) - pos); };
  return leave_out ? Near{bound(at - reach + 1), bound(at + reach)} : Near{0, 0};
}

}  // namespace

void Forward::raw_queries(const Part& part) {
  for (std::size_t w = 0; w < n_raw; ++w)
    for (std::size_t c = 0; c < part.state->channels; ++c)
      for (std::size_t t = 0; t < part.T; ++t)
        part.state->raw_row(w, c, (t + 1) * patch_samples - 1, part.cal->level[c], weighted[w] + part.row_of(c, t) * raw_samples[w]);
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
void Forward::cheap_components(const Run& run, bool leave_out, const Scratch& scratch) {
  const KernelTable& k = *weights->kernels;
  const Calibration& cal = *run.part->cal;
  const std::size_t N = cal.raw_rows, stride = dot_stride(N), c = run.c;
  const auto samples = static_cast<std::int64_t>(patch_samples), block = static_cast<std::int64_t>(cal.left_out);
  const float inv_tau = 1.0f / weights->config.raw_tau;
  for (std::size_t t = run.first; t < run.last; t += dot_tokens) {
    const std::size_t row = run.part->row_of(c, t), n = std::min(dot_tokens, run.last - t);
    for (std::size_t w = 0; w < n_raw; ++w) {
      const RawMemory& memory = cal.raw[w];
      const std::int8_t* const query = uw[w] + row * raw_samples[w];
      k.qgemm_run(query, uw_scale[w] + row, memory.packed_of(c), memory.scale + c * N, nullptr, scratch.dot, stride, n, N, raw_samples[w], false);
      for (std::size_t i = 0; i < n; ++i) {
        const auto token = static_cast<std::int64_t>(run.part->state->tokens_done + t + i);
        const Near out = near(cal.raw_pos, N, (token + 1) * samples - 1, block * samples, leave_out);
        const float norm = quantised_norm(query + i * raw_samples[w], uw_scale[w][row + i], raw_samples[w]);
        float* squares = comp + (row + i) * n_components + 2;
        *squares = (w == 0 ? 0.0f : *squares) + k.softmin(scratch.dot + i * stride, memory.norm + c * N, norm, N, inv_tau, out.lo, out.hi);
      }
    }
    for (std::size_t i = row; i < row + n; ++i) {
      float* to = comp + i * n_components;
      to[2] = distance(to[2] * (1.0f / n_raw));
      to[6] = 0.0f;
      for (std::size_t j = 0; j < patch_samples; ++j) to[6] = std::max(to[6], std::fabs(x_scaled[i * patch_samples + j]));
    }
  }
}

// c0, c1 of the executed rows.
void Forward::metric_distances(const Run& run, bool leave_out, const Scratch& scratch) {
  const KernelTable& k = *weights->kernels;
  const Config& config = weights->config;
  const Calibration& cal = *run.part->cal;
  const std::size_t M = cal.rows, stride = dot_stride(M), c = run.c;
  const auto executed_row = [&](std::size_t t) { return !skipped[run.part->row_of(c, t)]; };
  std::size_t left = 0;
  for (std::size_t t = run.first; t < run.last; ++t) left += executed_row(t) ? 1 : 0;
  std::size_t query = 0;
  for (std::size_t t = run.first; t < run.last; ++t) {
    if (!executed_row(t)) continue;
    const std::size_t row = run.part->row_of(c, t), batch = query++ % dot_tokens;
    const auto token = static_cast<std::int64_t>(run.part->state->tokens_done + t);
    const Near out = near(cal.pos, M, token, static_cast<std::int64_t>(cal.left_out), leave_out);
    for (std::size_t head = 0; head < metric_heads; ++head) {
      // Both heads' products of a batch lie side by side.
      float* dot = scratch.dot + head * dot_tokens * stride;
      if (batch == 0) {
        const std::size_t at = head * executed + slot[row];
        k.qgemm_run(um + at * head_dim, um_scale + at, cal.packed_metric(c, head), cal.metric_scale + (c * metric_heads + head) * M, nullptr,
                    dot, stride, std::min(dot_tokens, left), M, head_dim, false);
      }
      comp[row * n_components + head] =
          distance(k.softmin(dot + batch * stride, nullptr, 1.0f, M, 1.0f / config.metric_tau, out.lo, out.hi));
    }
    --left;
  }
}

// Section 6 of the executed rows: the other components that need the network.
void Forward::components(const Part& part) {
  for (std::size_t c = 0; c < part.state->channels; ++c) {
    prediction_errors(part, c);
    for (std::size_t t = 0; t < part.T; ++t) {
      const std::size_t row = part.row_of(c, t);
      if (skipped[row]) continue;
      const float* w = part.state->signal(0, c) + (t + 1) * patch_samples - raw_window;
      const float mean = lane_sum(w, raw_window) / static_cast<float>(raw_window);
      comp[row * n_components + 7] = std::sqrt(lane_sum_squares(w, raw_window, mean) / static_cast<float>(raw_window));
    }
  }
}

// c3, c4, c5. The next-patch prediction is the previous token's; a stream's first token has none, nor has one behind a skipped token.
void Forward::prediction_errors(const Part& part, std::size_t c) {
  const State& s = *part.state;
  for (std::size_t t = 0; t < part.T; ++t) {
    const std::size_t row = part.row_of(c, t);
    if (skipped[row]) continue;
    const float* y = s.signal(0, c) + t * patch_samples;
    const float* own = p + slot[row] * head_width;
    float* out = comp + row * n_components;
    out[3] = out[4] = 0.0f;
    if (t > 0 ? skipped[row - 1] != 0 : s.gap_before[c] != 0) {
      std::copy_n(part.cal->comp_center + c * n_components + 3, 2, out + 3);
    } else if (s.tokens_done + t > 0) {
      const float* next = t > 0 ? own - head_width + patch_samples : s.predicted + c * patch_samples;
      const float lb = std::min(std::max(t > 0 ? next[patch_samples] : s.log_b[c], -4.0f), 4.0f);
      out[3] = mean_distance(y, next);
      out[4] = out[3] * exp32(-lb) + lb;
    }
    out[5] = mean_distance(y, own);
  }
}

}  // namespace sanderling
