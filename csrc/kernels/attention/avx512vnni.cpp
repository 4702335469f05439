#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"
#include "kernels/attention/lanes.inl"

namespace {

SANDERLING_LANES __m256i dot4(__m256i acc, __m256i u, __m256i s) {
  return _mm256_dpbusd_epi32(acc, u, s);
}

}  // namespace

#include "kernels/attention/bytes32.inl"

namespace sanderling {

void attention_avx512vnni(const AttentionArgs& args) { attention_lanes(args); }

}  // namespace sanderling
