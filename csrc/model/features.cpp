#include <algorithm>
#include <cstring>

#include "forward.h"

namespace sanderling {

// Section 3: f = [y | d_1 | ... | d_levels | s_levels | valid], 8 samples each.
void Forward::features() {
  const KernelTable& k = *weights->kernels;
  const std::size_t levels = weights->config.levels, width = weights->config.feature_width(), n = patch_samples * T;
  for (std::size_t c = 0; c < channels; ++c) {
    const float* y = signal(0, c);
    const std::uint32_t* to_row = slot + c * T;
    const auto put = [&](std::size_t part, const float* samples) {
      for (std::size_t t = 0; t < T; ++t)
        std::memcpy(f + to_row[t] * width + part * patch_samples, samples + t * patch_samples, patch_samples * sizeof *samples);
    };
    put(0, y);
    for (std::size_t s = 0; s < levels; ++s) {
      const float* from = signal(s, c);
      float* to = s + 1 < levels ? signal(s + 1, c) : coarse;
      k.atrous(from, weights->taps, weights->n_taps, std::size_t{1} << s, n, to, detail);
      put(1 + s, detail);
    }
    put(levels + 1, coarse);
    put(levels + 2, valid + c * n);
  }
}

}  // namespace sanderling
