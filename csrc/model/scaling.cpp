#include <algorithm>
#include <cmath>
#include <limits>

#include "statistics.h"

namespace sanderling {
namespace {

// Population standard deviation about the mean, sums in sample order.
void mean_deviation(const float* v, std::size_t n, double* mean, double* deviation) {
  double sum = 0.0, squares = 0.0;
  for (std::size_t i = 0; i < n; ++i) sum += static_cast<double>(v[i]);
  *mean = sum / static_cast<double>(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double c = static_cast<double>(v[i]) - *mean;
    squares += c * c;
  }
  *deviation = std::sqrt(squares / static_cast<double>(n));
}

}  // namespace

float lower_median(float* values, std::size_t n) {
  float* middle = values + (n - 1) / 2;
  std::nth_element(values, middle, values + n);
  return *middle + 0.0f;
}

void location_spread(const float* x, std::size_t n, std::size_t stride, bool standard, float* work, float* location, float* spread) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < n; ++i)
    if (std::isfinite(x[i * stride])) work[count++] = x[i * stride];
  *location = 0.0f;
  *spread = 1.0f;
  if (count == 0) return;

  double mean = 0.0, deviation = 0.0;
  mean_deviation(work, count, &mean, &deviation);
  *location = standard ? static_cast<float>(mean) + 0.0f : lower_median(work, count);
  float wide = static_cast<float>(deviation);
  const float floor = std::max(1e-3f * std::fabs(*location), 1e-5f * wide);
  if (!standard) {
    for (std::size_t i = 0; i < count; ++i) work[i] = std::fabs(work[i] - *location);
    const float robust = 1.4826f * lower_median(work, count);
    if (robust >= floor) wide = robust;
  }
  // What float32 still resolves at that location is a signal: 50 Hz +- 0.01, pressure in pascals, picoamperes.
  if (wide < std::max(5e-7f * std::fabs(*location), 1e-30f)) wide = std::max(floor, 1e-3f);
  // Values near the end of float32's range: the difference of two of them may have overflowed.
  *spread = std::min(wide, std::numeric_limits<float>::max());
}

}  // namespace sanderling
