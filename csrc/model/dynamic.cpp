// Dynamic mode (docs/model.md section 12): what the cheap components find ordinary skips the network.
#include "forward.h"

namespace sanderling {
namespace {

// Tokens since the start that are never skipped: every layer's window has then seen executed tokens.
constexpr std::size_t warm_tokens = 64;
// Of the running mean of the residuals. A channel that stands still is then exact, and a periodic one gets no wrong phase.
constexpr float residual_rate = 0.0625f;

}  // namespace

bool Forward::ordinary(std::size_t row, const Calibration& cal) const {
  const auto within = [&](std::size_t k) {
    const std::size_t at = row / T * n_components + k;
    return (comp[row * n_components + k] - cal.comp_center[at]) / cal.comp_spread[at] <= weights->config.skip_level;
  };
  return within(2) && within(6);
}

// Which rows are executed, and where every row lies.
void Forward::choose(const Calibration& cal, bool may_skip) {
  std::uint32_t next = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t c = row / T, t = row % T;
    if (t == 0) first_slot[c] = next;
    calm[row] = may_skip && ordinary(row, cal);
    skipped[row] = calm[row] && tokens_done + t >= warm_tokens && run_length[c] + 1 < weights->config.probe_every;
    run_length[c] = skipped[row] ? run_length[c] + 1 : 0;
    if (!skipped[row]) slot[row] = next++;
  }
  first_slot[channels] = next;
  executed = next;
  for (std::size_t row = 0; row < rows; ++row)
    if (skipped[row]) slot[row] = next++;
}

// A skipped token enters every layer as its embedding plus the residual that the executed ordinary tokens had on average.
void Forward::hold_residual(std::size_t layer) {
  const std::size_t d = weights->config.d_model;
  for (std::size_t row = 0; row < rows; ++row) {
    float* of_channel = residual + (layer * channels + row / T) * d;
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
