// Dynamic mode (docs/model.md section 12): what the cheap components find ordinary skips the network.
#include "forward.h"

namespace sanderling {
namespace {

// Tokens since the start that are never skipped: every layer's window has then seen executed tokens.
constexpr std::size_t warm_tokens = 64;
// Of the running mean of the residuals. A channel that stands still is then exact, and a periodic one gets no wrong phase.
constexpr float residual_rate = 0.0625f;

}  // namespace

bool Forward::ordinary(const Part& part, std::size_t c, std::size_t row) const {
  const auto within = [&](std::size_t k) {
    const std::size_t at = c * n_components + k;
    return (comp[row * n_components + k] - part.cal->comp_center[at]) / part.cal->comp_spread[at] <= weights->config.skip_level;
  };
  return within(2) && within(6);
}

// Which rows are executed, and where they lie.
void Forward::choose(const Part& part, bool may_skip) {
  State& s = *part.state;
  for (std::size_t c = 0; c < s.channels; ++c) {
    for (std::size_t t = 0; t < part.T; ++t) {
      const std::size_t row = part.row_of(c, t);
      calm[row] = may_skip && ordinary(part, c, row);
      skipped[row] = calm[row] && s.tokens_done + t >= warm_tokens && s.run_length[c] + 1 < weights->config.probe_every;
      s.run_length[c] = skipped[row] ? s.run_length[c] + 1 : 0;
      if (!skipped[row]) slot[row] = static_cast<std::uint32_t>(executed++);
    }
  }
}

// The skipped rows lie behind the executed ones.
void Forward::place_skipped() {
  std::uint32_t next = static_cast<std::uint32_t>(executed);
  for (std::size_t row = 0; row < rows; ++row)
    if (skipped[row]) slot[row] = next++;
}

// A skipped token enters every layer as its embedding plus the residual that the executed ordinary tokens had on average.
void Forward::hold_residual(const Part& part, std::size_t layer) {
  const std::size_t d = weights->config.d_model;
  const State& s = *part.state;
  for (std::size_t row = part.row; row < part.end(); ++row) {
    float* of_channel = s.residual + (layer * s.channels + (row - part.row) / part.T) * d;
    const float* e = embedded + slot[row] * d;
    float* x = h + slot[row] * d;
    if (skipped[row]) {
      for (std::size_t j = 0; j < d; ++j) x[j] = e[j] + of_channel[j];
    } else if (calm[row]) {
      for (std::size_t j = 0; j < d; ++j) of_channel[j] += (x[j] - e[j] - of_channel[j]) * residual_rate;
    }
  }
}

}  // namespace sanderling
