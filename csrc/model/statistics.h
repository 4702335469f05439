// Statistics of a reference recording: no labels, no gradients (docs/model.md sections 2, 8, 9).
#pragma once
#include <cstddef>

namespace sanderling {

// The element (n - 1) / 2 of the sorted values, n >= 1; reorders them. -0 becomes +0: which of the two equal values a
// selection finds differs between C++ libraries, and the result is stored.
float lower_median(float* values, std::size_t n);

// Location and spread of one channel: x[i * stride], i < n, missing samples skipped; work holds n floats.
void location_spread(const float* x, std::size_t n, std::size_t stride, bool standard, float* work, float* location, float* spread);

// The threshold for `false_alarms` per day (period_s > 0) or per 10,000 samples, from the T aggregate scores of the reference
// in time order; work holds T floats.
float decide_threshold(const float* scores, std::size_t T, float false_alarms, float period_s, float* work);

}  // namespace sanderling
