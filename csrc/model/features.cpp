#include <algorithm>
#include <cstring>

#include "forward.h"

namespace sanderling {

// Section 3: f = [y | d_1 | ... | d_levels | s_levels | valid], 8 samples each.
void Forward::features(const Part& part) {
  const KernelTable& k = *weights->kernels;
  const State& state = *part.state;
  const std::size_t levels = weights->config.levels, width = weights->config.feature_width(), n = patch_samples * part.T;
  for (std::size_t c = 0; c < state.channels; ++c) {
    const float* y = state.signal(0, c);
    const std::uint32_t* to_row = slot + part.row_of(c, 0);
    const auto put = [&](std::size_t at, const float* samples) {
      for (std::size_t t = 0; t < part.T; ++t)
        std::memcpy(f + to_row[t] * width + at * patch_samples, samples + t * patch_samples, patch_samples * sizeof *samples);
    };
    put(0, y);
    for (std::size_t s = 0; s < levels; ++s) {
      const float* from = state.signal(s, c);
      float* to = s + 1 < levels ? state.signal(s + 1, c) : coarse;
      k.atrous(from, weights->taps, weights->n_taps, std::size_t{1} << s, n, to, detail);
      put(1 + s, detail);
    }
    put(levels + 1, coarse);
    put(levels + 2, valid + part.row_of(c, 0) * patch_samples);
  }
}

}  // namespace sanderling
