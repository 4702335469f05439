#include <algorithm>
#include <cmath>

#include "forward.h"

namespace sanderling {

// Sections 1 and 2: missing samples are filled from the past, then scaled, clipped and squashed. y goes to signal(0).
void Forward::clean(const float* x, const Calibration& cal) {
  const Config& config = weights->config;
  const std::size_t n = patch_samples * T;
  for (std::size_t c = 0; c < channels; ++c) {
    Cell& state = cell[c];
    const float location = cal.location[c], spread = cal.spread[c];
    float* y = signal(0, c);
    for (std::size_t i = 0; i < n; ++i) {
      const float raw = x[i * channels + c];
      const bool ok = std::isfinite(raw);
      if (ok) {
        state = {raw, 0, true};
      } else if (state.missing <= config.max_gap) {
        ++state.missing;
      }
      // Two large values of opposite sign overflow to infinity here; the clamp makes that +-clip, and no NaN can arise
      // because the spread is positive and finite.
      const float v = ((state.seen ? state.last : location) - location) / spread;
      const float scaled = std::min(std::max(v, -config.clip), config.clip);
      x_scaled[c * n + i] = scaled;
      valid[c * n + i] = ok ? 1.0f : 0.0f;
      silent[c * n + i] = !state.seen || state.missing > config.max_gap;
      y[i] = scaled / (1.0f + std::fabs(scaled) / 8.0f);
    }
    // Before the first sample every level has the first sample's value, so details start at 0.
    if (tokens_done == 0)
      for (std::size_t s = 0; s < config.levels; ++s) std::fill(signal(s, c) - history[s], signal(s, c), y[0]);
  }
}

}  // namespace sanderling
