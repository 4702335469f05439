#include <algorithm>

#include "../core/math.h"
#include "statistics.h"

namespace sanderling {

// Peaks over threshold with an exponential tail (Balkema & de Haan 1974; Pickands 1975) on maxima of blocks: alarms come in
// runs, and the maxima of blocks are nearly independent.
float decide_threshold(const float* scores, std::size_t T, float false_alarms, float period_s, float* work) {
  constexpr std::size_t block_tokens = 16;
  const std::size_t block = T / block_tokens >= 16 ? block_tokens : 1;
  const std::size_t n = T / block;
  const double unit_samples = period_s > 0.0f ? 86400.0 / static_cast<double>(period_s) : 10000.0;
  const double p = static_cast<double>(false_alarms) / (unit_samples / 8.0);
  const double p_block = std::min(1.0, p * static_cast<double>(block));

  for (std::size_t i = 0; i < n; ++i) work[i] = *std::max_element(scores + i * block, scores + (i + 1) * block);
  std::sort(work, work + n);
  const float u = work[(3 * n + 3) / 4 - 1];
  double excess = 0.0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (work[i] <= u) continue;
    excess += static_cast<double>(work[i]) - static_cast<double>(u);
    ++count;
  }
  double threshold = u;
  const double zeta = static_cast<double>(count) / static_cast<double>(n);
  if (zeta > p_block) threshold += excess / static_cast<double>(count) * log64(zeta / p_block);

  std::copy(scores, scores + T, work);
  return static_cast<float>(std::max(threshold, static_cast<double>(lower_median(work, T))));
}

}  // namespace sanderling
