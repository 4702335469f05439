#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"
#include "kernels/attention/lanes.inl"

namespace {

SANDERLING_LANES __m256i dot4(__m256i acc, __m256i u, __m256i s) {
  return _mm256_dpbusd_epi32(acc, u, s);
}

}  // namespace

#include "kernels/attention/bytes32.inl"
#include "kernels/attention/band.inl"
#include "kernels/attention/full_four.inl"
#include "kernels/attention/full.inl"

namespace {

constexpr char key_offset = static_cast<char>(0x80);  // keys offset by 128 are vpdpbusd's unsigned side

}  // namespace

#include "kernels/attention/pack512.inl"

namespace {

SANDERLING_LANES __m512i dot4(__m512i acc, __m512i u, __m512i s) { return _mm512_dpbusd_epi32(acc, u, s); }

void band_keys(const std::int8_t* q, const std::int8_t* k, std::size_t row, std::size_t n, float (&dots)[band][16]) {
  __m512i queries[8], part[8];
  alignas(64) std::int32_t keys[8][32];
  transpose_words(q, row, 0, n, queries);
  for (std::size_t i = 0; i < 32; i += 16) {
    transpose_words(k, row, i, n + band - 1, part);
    // The queries' sums take the keys' offset away again.
    SANDERLING_UNROLL
    for (int g = 0; g < 8; ++g)
      _mm512_store_si512(keys[g] + i, _mm512_xor_si512(part[g], _mm512_set1_epi8(key_offset)));
  }
  __m512i start = _mm512_setzero_si512();
  SANDERLING_UNROLL
  for (int g = 0; g < 8; ++g) start = dot4(start, _mm512_set1_epi8(static_cast<char>(0x80)), queries[g]);
  start = _mm512_sub_epi32(_mm512_setzero_si512(), start);
  for (std::size_t i = 0; i < band; i += 8) {
    __m512i acc[8];
    SANDERLING_UNROLL
    for (int j = 0; j < 8; ++j) acc[j] = start;
    SANDERLING_UNROLL
    for (int g = 0; g < 8; ++g)
      SANDERLING_UNROLL
      for (int j = 0; j < 8; ++j) acc[j] = dot4(acc[j], _mm512_loadu_si512(keys[g] + i + j), queries[g]);
    SANDERLING_UNROLL
    for (int j = 0; j < 8; ++j) _mm512_store_ps(dots[i + j], _mm512_cvtepi32_ps(acc[j]));
  }
}

void band_values(const std::uint8_t (&p)[band][16], const std::int8_t* v, std::size_t row, std::size_t n, const float (&factor)[16],
                 float* out) {
  // Word `lane` of weights[i / 4] holds the weights of keys lane + i .. lane + i + 3.
  alignas(64) std::int32_t weights[band / 4][16];
  SANDERLING_UNROLL
  for (std::size_t i = 0; i < band; i += 4) {
    __m512i word = _mm512_setzero_si512();
    SANDERLING_UNROLL
    for (std::size_t j = 0; j < 4; ++j) {
      const __m512i bytes = _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(p[i + j])));
      word = _mm512_or_si512(word, _mm512_slli_epi32(bytes, static_cast<unsigned>(8 * j)));
    }
    _mm512_store_si512(weights[i / 4], word);
  }
  // Two, then four consecutive tokens of one d side by side, from every token on: d 0-3 | 16-19 | 8-11 | 24-27 in quads[][0],
  // 4-7 | 20-23 | 12-15 | 28-31 in quads[][1].
  __m512i pairs[32], quads[28][2];
  const std::size_t tokens = n + band - 1;
  __m256i last = row32(v, row, 0, tokens);
  for (std::size_t j = 0; j + 1 < tokens; ++j) {
    const __m256i next = row32(v, row, j + 1, tokens);
    pairs[j] = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_unpacklo_epi8(last, next)), _mm256_unpackhi_epi8(last, next), 1);
    last = next;
    if (j < 2) continue;
    quads[j - 2][0] = _mm512_unpacklo_epi16(pairs[j - 2], pairs[j]);
    quads[j - 2][1] = _mm512_unpackhi_epi16(pairs[j - 2], pairs[j]);
  }
  const __m512i low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0), high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
  for (std::size_t t = 0; t < n; ++t, out += row) {
    __m512i acc[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    SANDERLING_UNROLL
    for (std::size_t i = 0; i < band; i += 4) {
      const __m512i word = _mm512_set1_epi32(weights[i / 4][t]);
      acc[0] = dot4(acc[0], word, quads[t + i][0]);
      acc[1] = dot4(acc[1], word, quads[t + i][1]);
    }
    const __m512 f = _mm512_set1_ps(factor[t]);
    _mm512_storeu_ps(out, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_permutex2var_epi64(acc[0], low, acc[1])), f));
    _mm512_storeu_ps(out + 16, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_permutex2var_epi64(acc[0], high, acc[1])), f));
  }
}

}  // namespace

#include "kernels/attention/full512.inl"

namespace sanderling {

void attention_avx512vnni(const AttentionArgs& args) {
  if (!attention_full_ran(args)) attention_bands(args);
}

}  // namespace sanderling
