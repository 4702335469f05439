// The integer parts of full.inl in registers of 32 bytes; include after it and band32.inl.
namespace {

inline bool full_fits(std::size_t D) { return D % 32 == 0; }

// keys: [padded / 16][D / 32][8 words][16 keys]; values: [D / 32][padded / 4][4 registers of four keys' words], d as in weigh_values.
void full_pack(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t h) {
  const std::size_t row = args.H * args.D, parts = args.D / 32;
  const std::int8_t *k = args.k + h * args.D, *v = args.v + h * args.D;
  std::uint8_t* to = head.keys;
  for (std::size_t i = 0; i < head.padded; i += 16)
    for (std::size_t part = 0; part < parts; ++part, to += 512) {
      std::int32_t words[8][16];
      for (std::size_t half = 0; half < 16; half += 8) transpose_words(k + 32 * part, row, i, half, head.n, words);
      __builtin_memcpy(to, words, sizeof words);
    }
  __m256i* quads = reinterpret_cast<__m256i*>(head.values);
  for (std::size_t part = 0; part < parts; ++part)
    for (std::size_t i = 0; i < head.padded; i += 4, quads += 4) {
      const __m256i r0 = row32(v + 32 * part, row, i, head.n), r1 = row32(v + 32 * part, row, i + 1, head.n);
      const __m256i r2 = row32(v + 32 * part, row, i + 2, head.n), r3 = row32(v + 32 * part, row, i + 3, head.n);
      const __m256i low01 = _mm256_unpacklo_epi8(r0, r1), high01 = _mm256_unpackhi_epi8(r0, r1);
      const __m256i low23 = _mm256_unpacklo_epi8(r2, r3), high23 = _mm256_unpackhi_epi8(r2, r3);
      _mm256_storeu_si256(quads, _mm256_unpacklo_epi16(low01, low23));
      _mm256_storeu_si256(quads + 1, _mm256_unpackhi_epi16(low01, low23));
      _mm256_storeu_si256(quads + 2, _mm256_unpacklo_epi16(high01, high23));
      _mm256_storeu_si256(quads + 3, _mm256_unpackhi_epi16(high01, high23));
    }
}

void full_dots(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h) {
  const std::size_t row = args.H * args.D, words = args.D / 4;
  const std::int8_t* q = args.q + t * row + h * args.D;
  const __m256i* keys = reinterpret_cast<const __m256i*>(head.keys);
  for (std::size_t j = 0; j < head.padded; j += 16) {
    __m256i acc[full_queries][2] = {};
    for (std::size_t g = 0; g < words; ++g, keys += 2) {
      const __m256i low = _mm256_loadu_si256(keys), high = _mm256_loadu_si256(keys + 1);
      SANDERLING_UNROLL
      for (std::size_t i = 0; i < full_queries; ++i) {
        const __m256i query = broadcast4(reinterpret_cast<const std::uint8_t*>(q + i * row + 4 * g)), query_abs = _mm256_abs_epi8(query);
        acc[i][0] = dot4(acc[i][0], query_abs, _mm256_sign_epi8(low, query));
        acc[i][1] = dot4(acc[i][1], query_abs, _mm256_sign_epi8(high, query));
      }
    }
    SANDERLING_UNROLL
    for (std::size_t i = 0; i < full_queries; ++i)
      SANDERLING_UNROLL
      for (int half = 0; half < 2; ++half)
        _mm256_storeu_ps(head.logit + i * head.padded + j + 8 * static_cast<std::size_t>(half), _mm256_cvtepi32_ps(acc[i][half]));
  }
}

void full_weigh(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h, std::size_t,
                const float (&factor)[full_queries]) {
  const std::size_t row = args.H * args.D;
  for (std::size_t part = 0; part < args.D / 32; ++part)
    for (std::size_t i = 0; i < full_queries; i += 2) {  // two queries: eight sums and four registers of values
      __m256i acc[2][4] = {};
      const __m256i* quads = reinterpret_cast<const __m256i*>(head.values) + part * head.padded;
      const std::uint8_t* p = head.p + i * head.padded;
      for (std::size_t j = 0; j < head.padded; j += 4, quads += 4) {
        const __m256i words[2] = {broadcast4(p + j), broadcast4(p + head.padded + j)};
        SANDERLING_UNROLL
        for (int r = 0; r < 4; ++r) {
          const __m256i columns = _mm256_loadu_si256(quads + r);
          acc[0][r] = dot4(acc[0][r], words[0], columns);
          acc[1][r] = dot4(acc[1][r], words[1], columns);
        }
      }
      for (std::size_t one = 0; one < 2; ++one) {
        float* out = args.out + (t + i + one) * row + h * args.D + 32 * part;
        const __m256 f = _mm256_set1_ps(factor[i + one]);
        for (int half = 0; half < 2; ++half) {
          store_scaled(out + 16 * half, acc[one][0], acc[one][1], half, f);
          store_scaled(out + 16 * half + 8, acc[one][2], acc[one][3], half, f);
        }
      }
    }
}

}  // namespace
