// The two integer parts of attention in registers of 32 bytes; include after attention/lanes.inl. The ISA file defines before it
//   dot4(acc, u, s): acc + u . s over each 4 bytes, u in [0, 127], s in [-127, 127], exact.
namespace {

// 32 bytes, or 16 and zeros.
SANDERLING_LANES __m256i load_bytes(const std::int8_t* p, bool wide) {
  if (wide) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_inserti128_si256(_mm256_setzero_si256(), low, 0);
}

void dot_keys(const std::int8_t* q, const std::int8_t* k, std::size_t row, std::size_t n, std::size_t D, float* dots) {
  for (std::size_t i = 0; i < n; i += 4) {
    const std::int8_t* keys[4] = {k + i * row, row_at(k, row, i + 1, n), row_at(k, row, i + 2, n),
                                  row_at(k, row, i + 3, n)};
    __m256i acc[4] = {};
    for (std::size_t d = 0; d < D; d += 32) {
      const bool wide = d + 32 <= D;
      const __m256i query = load_bytes(q + d, wide);
      const __m256i query_abs = _mm256_abs_epi8(query);
      SANDERLING_UNROLL
      for (int j = 0; j < 4; ++j) {
        const __m256i key = _mm256_sign_epi8(load_bytes(keys[j] + d, wide), query);
        acc[j] = dot4(acc[j], query_abs, key);
      }
    }
    const __m256i both = _mm256_hadd_epi32(_mm256_hadd_epi32(acc[0], acc[1]), _mm256_hadd_epi32(acc[2], acc[3]));
    const __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    _mm_storeu_ps(dots + i, _mm_cvtepi32_ps(sums));
  }
}

SANDERLING_LANES __m256i broadcast4(const std::uint8_t* p) {
  std::int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return _mm256_set1_epi32(word);
}

SANDERLING_LANES void store_scaled(float* out, __m256i a, __m256i b, int half, __m256 factor) {
  const __m256i sums = half ? _mm256_permute2x128_si256(a, b, 0x31) : _mm256_permute2x128_si256(a, b, 0x20);
  _mm256_storeu_ps(out, _mm256_mul_ps(_mm256_cvtepi32_ps(sums), factor));
}

void weigh_values(const std::uint8_t* p, const std::int8_t* v, std::size_t row, std::size_t n, std::size_t D,
                  float factor, float* out) {
  for (std::size_t d = 0; d < D; d += 32) {
    const bool wide = d + 32 <= D;
    __m256i acc[4] = {};
    for (std::size_t i = 0; i < n; i += 4) {
      const __m256i r0 = load_bytes(row_at(v, row, i, n) + d, wide);
      const __m256i r1 = load_bytes(row_at(v, row, i + 1, n) + d, wide);
      const __m256i r2 = load_bytes(row_at(v, row, i + 2, n) + d, wide);
      const __m256i r3 = load_bytes(row_at(v, row, i + 3, n) + d, wide);
      const __m256i low01 = _mm256_unpacklo_epi8(r0, r1), high01 = _mm256_unpackhi_epi8(r0, r1);
      const __m256i low23 = _mm256_unpacklo_epi8(r2, r3), high23 = _mm256_unpackhi_epi8(r2, r3);
      // Four tokens of one d side by side: d 0-3 | 16-19, 4-7 | 20-23, 8-11 | 24-27, 12-15 | 28-31.
      const __m256i columns[4] = {_mm256_unpacklo_epi16(low01, low23), _mm256_unpackhi_epi16(low01, low23),
                                  _mm256_unpacklo_epi16(high01, high23), _mm256_unpackhi_epi16(high01, high23)};
      const __m256i weights = broadcast4(p + i);
      SANDERLING_UNROLL
      for (int j = 0; j < 4; ++j) acc[j] = dot4(acc[j], weights, columns[j]);
    }
    const __m256 f = _mm256_set1_ps(factor);
    store_scaled(out + d, acc[0], acc[1], 0, f);
    store_scaled(out + d + 8, acc[2], acc[3], 0, f);
    if (!wide) continue;
    store_scaled(out + d + 16, acc[0], acc[1], 1, f);
    store_scaled(out + d + 24, acc[2], acc[3], 1, f);
  }
}

}  // namespace
