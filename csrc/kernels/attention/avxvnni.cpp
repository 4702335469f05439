#include "kernels/kernels.h"
#include "kernels/lanes/avx2.h"
#include "kernels/attention/lanes.inl"

namespace {

SANDERLING_LANES __m256i dot4(__m256i acc, __m256i u, __m256i s) {
  return _mm256_dpbusd_avx_epi32(acc, u, s);
}

}  // namespace

#include "kernels/attention/bytes32.inl"
#include "kernels/attention/band.inl"
#include "kernels/attention/band32.inl"
#include "kernels/attention/full_four.inl"
#include "kernels/attention/full.inl"
#include "kernels/attention/full32.inl"

namespace sanderling {

void attention_avxvnni(const AttentionArgs& args) {
  if (!attention_full_ran(args)) attention_bands(args);
}

}  // namespace sanderling
