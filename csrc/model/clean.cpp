#include <algorithm>
#include <cmath>

#include "forward.h"

namespace sanderling {

// Sections 1 and 2: missing samples are filled from the past, then scaled, clipped and squashed. y goes to signal(0).
void Forward::clean(const Part& part) {
  const Config& config = weights->config;
  State& s = *part.state;
  const std::size_t n = patch_samples * part.T;
  for (std::size_t c = 0; c < s.channels; ++c) {
    State::Cell& cell = s.cell[c];
    const float location = part.cal->location[c], spread = part.cal->spread[c];
    const std::size_t first = part.row_of(c, 0) * patch_samples;
    float* y = s.signal(0, c);
    for (std::size_t i = 0; i < n; ++i) {
      const float raw = part.x[i * s.channels + c];
      const bool ok = std::isfinite(raw);
      if (ok) {
        cell = {raw, 0, true};
      } else if (cell.missing <= config.max_gap) {
        ++cell.missing;
      }
      // Two large values of opposite sign overflow to infinity here; the clamp makes that +-clip, and no NaN can arise
      // because the spread is positive and finite.
      const float v = ((cell.seen ? cell.last : location) - location) / spread;
      const float scaled = std::min(std::max(v, -config.clip), config.clip);
      x_scaled[first + i] = scaled;
      valid[first + i] = ok ? 1.0f : 0.0f;
      silent[first + i] = !cell.seen || cell.missing > config.max_gap;
      y[i] = scaled / (1.0f + std::fabs(scaled) / 8.0f);
    }
    // Before the first sample every level has the first sample's value, so details start at 0.
    if (s.tokens_done == 0)
      for (std::size_t l = 0; l < config.levels; ++l) std::fill(s.signal(l, c) - s.history[l], s.signal(l, c), y[0]);
  }
}

}  // namespace sanderling
