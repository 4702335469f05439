// The integer parts of band.inl in registers of 32 bytes; include after bytes32.inl and band.inl.
namespace {

// Row i of n as 32 bytes; a row beyond the end is the last one.
SANDERLING_LANES __m256i row32(const std::int8_t* p, std::size_t row, std::size_t i, std::size_t n) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row_at(p, row, i, n)));
}

// Eight rows of 32 bytes, from first + at on, as eight columns of 4-byte words: to[g][at .. at + 8) = word g of each row.
template <std::size_t WIDTH>
SANDERLING_LANES void transpose_words(const std::int8_t* p, std::size_t row, std::size_t first, std::size_t at, std::size_t n,
                                      std::int32_t (&to)[8][WIDTH]) {
  __m256i r[8], s[8];
  SANDERLING_UNROLL
  for (std::size_t i = 0; i < 8; ++i) r[i] = row32(p, row, first + at + i, n);
  SANDERLING_UNROLL
  for (int i = 0; i < 8; i += 2) {
    s[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
    s[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
  }
  // Of rows 0-3 and 4-7: words 0|4, 1|5, 2|6, 3|7.
  SANDERLING_UNROLL
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_unpacklo_epi64(s[i], s[i + 2]);
    r[i + 1] = _mm256_unpackhi_epi64(s[i], s[i + 2]);
    r[i + 2] = _mm256_unpacklo_epi64(s[i + 1], s[i + 3]);
    r[i + 3] = _mm256_unpackhi_epi64(s[i + 1], s[i + 3]);
  }
  SANDERLING_UNROLL
  for (int g = 0; g < 4; ++g) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to[g] + at), _mm256_permute2x128_si256(r[g], r[g + 4], 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to[g + 4] + at), _mm256_permute2x128_si256(r[g], r[g + 4], 0x31));
  }
}

void band_keys(const std::int8_t* q, const std::int8_t* k, std::size_t row, std::size_t n, float (&dots)[band][16]) {
  alignas(32) std::int32_t queries[8][16], keys[8][32];
  for (std::size_t i = 0; i < 16; i += 8) transpose_words(q, row, 0, i, n, queries);
  for (std::size_t i = 0; i < 32; i += 8) transpose_words(k, row, 0, i, n + band - 1, keys);
  for (std::size_t lane = 0; lane < 16; lane += 8)
    for (std::size_t i = 0; i < band; i += 8) {
      __m256i acc[8] = {};
      for (int g = 0; g < 8; ++g) {
        const __m256i query = _mm256_load_si256(reinterpret_cast<const __m256i*>(queries[g] + lane));
        const __m256i query_abs = _mm256_abs_epi8(query);
        SANDERLING_UNROLL
        for (int j = 0; j < 8; ++j) {
          const __m256i key = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(keys[g] + lane + i + j));
          acc[j] = dot4(acc[j], query_abs, _mm256_sign_epi8(key, query));
        }
      }
      SANDERLING_UNROLL
      for (int j = 0; j < 8; ++j) _mm256_store_ps(dots[i + j] + lane, _mm256_cvtepi32_ps(acc[j]));
    }
}

// Word `lane` of quads[i / 4] holds the weights of keys lane + i .. lane + i + 3.
SANDERLING_LANES void weight_words(const std::uint8_t (&p)[band][16], std::int32_t (&quads)[band / 4][16]) {
  SANDERLING_UNROLL
  for (std::size_t i = 0; i < band; i += 4) {
    __m128i r[4];
    SANDERLING_UNROLL
    for (std::size_t j = 0; j < 4; ++j) r[j] = _mm_load_si128(reinterpret_cast<const __m128i*>(p[i + j]));
    const __m128i low[2] = {_mm_unpacklo_epi8(r[0], r[1]), _mm_unpacklo_epi8(r[2], r[3])};
    const __m128i high[2] = {_mm_unpackhi_epi8(r[0], r[1]), _mm_unpackhi_epi8(r[2], r[3])};
    __m128i* to = reinterpret_cast<__m128i*>(quads[i / 4]);
    _mm_store_si128(to, _mm_unpacklo_epi16(low[0], low[1]));
    _mm_store_si128(to + 1, _mm_unpackhi_epi16(low[0], low[1]));
    _mm_store_si128(to + 2, _mm_unpacklo_epi16(high[0], high[1]));
    _mm_store_si128(to + 3, _mm_unpackhi_epi16(high[0], high[1]));
  }
}

void band_values(const std::uint8_t (&p)[band][16], const std::int8_t* v, std::size_t row, std::size_t n, const float (&factor)[16],
                 float* out) {
  alignas(32) std::int32_t weights[band / 4][16];
  weight_words(p, weights);
  // Four consecutive tokens of one d side by side, from every token on: d 0-3 | 16-19, 4-7 | 20-23, 8-11 | 24-27, 12-15 | 28-31.
  __m256i low[32], high[32], quads[28][4];
  const std::size_t tokens = n + band - 1;
  __m256i last = row32(v, row, 0, tokens);
  for (std::size_t j = 0; j + 1 < tokens; ++j) {
    const __m256i next = row32(v, row, j + 1, tokens);
    low[j] = _mm256_unpacklo_epi8(last, next);
    high[j] = _mm256_unpackhi_epi8(last, next);
    last = next;
    if (j < 2) continue;
    quads[j - 2][0] = _mm256_unpacklo_epi16(low[j - 2], low[j]);
    quads[j - 2][1] = _mm256_unpackhi_epi16(low[j - 2], low[j]);
    quads[j - 2][2] = _mm256_unpacklo_epi16(high[j - 2], high[j]);
    quads[j - 2][3] = _mm256_unpackhi_epi16(high[j - 2], high[j]);
  }
  for (std::size_t t = 0; t < n; ++t, out += row) {
    __m256i acc[4] = {};
    SANDERLING_UNROLL
    for (std::size_t i = 0; i < band; i += 4) {
      const __m256i word = _mm256_set1_epi32(weights[i / 4][t]);
      SANDERLING_UNROLL
      for (int j = 0; j < 4; ++j) acc[j] = dot4(acc[j], word, quads[t + i][j]);
    }
    const __m256 f = _mm256_set1_ps(factor[t]);
    for (int half = 0; half < 2; ++half) {
      store_scaled(out + 16 * half, acc[0], acc[1], half, f);
      store_scaled(out + 16 * half + 8, acc[2], acc[3], half, f);
    }
  }
}

}  // namespace
