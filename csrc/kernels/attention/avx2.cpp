#include "kernels/kernels.h"
#include "kernels/lanes/avx2.h"
#include "kernels/attention/lanes.inl"

namespace {

// A pair is at most 2 * 127 * 127, so that vpmaddubsw never saturates.
SANDERLING_LANES __m256i dot4(__m256i acc, __m256i u, __m256i s) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(u, s), _mm256_set1_epi16(1)));
}

}  // namespace

#include "kernels/attention/bytes32.inl"
#include "kernels/attention/band.inl"
#include "kernels/attention/band32.inl"
#include "kernels/attention/full_four.inl"
#include "kernels/attention/full.inl"
#include "kernels/attention/full32.inl"

namespace sanderling {

void attention_avx2(const AttentionArgs& args) {
  if (!attention_full_ran(args)) attention_bands(args);
}

}  // namespace sanderling
