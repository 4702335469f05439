// The integer products of full.inl in registers of 64 bytes; include after it, pack512.inl and dot4(__m512i, ...).
namespace {

constexpr std::size_t full_blocks = 4;

SANDERLING_LANES __m512i word_of(const void* p) {
  std::int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return _mm512_set1_epi32(word);
}

// Dot products of BLOCKS blocks of keys from `block` on; D = 32 * PARTS.
template <int PARTS, int BLOCKS>
SANDERLING_LANES void block_dots(const FullHead& head, const std::int8_t* q, std::size_t row, const __m512i (&start)[full_queries], std::size_t block) {
  __m512i acc[full_queries][BLOCKS];
  SANDERLING_UNROLL
  for (std::size_t i = 0; i < full_queries; ++i)
    SANDERLING_UNROLL
    for (int b = 0; b < BLOCKS; ++b) acc[i][b] = start[i];
  const std::uint8_t* keys = head.keys + block * PARTS * 512;
  for (int g = 0; g < 8 * PARTS; ++g) {
    __m512i key[BLOCKS];
    SANDERLING_UNROLL
    for (int b = 0; b < BLOCKS; ++b) key[b] = _mm512_loadu_si512(keys + b * PARTS * 512 + g * 64);
    SANDERLING_UNROLL
    for (std::size_t i = 0; i < full_queries; ++i) {
      const __m512i word = word_of(q + i * row + 4 * g);
      SANDERLING_UNROLL
      for (int b = 0; b < BLOCKS; ++b) acc[i][b] = dot4(acc[i][b], key[b], word);
    }
  }
  SANDERLING_UNROLL
  for (std::size_t i = 0; i < full_queries; ++i)
    SANDERLING_UNROLL
    for (int b = 0; b < BLOCKS; ++b) _mm512_storeu_ps(head.logit + i * head.padded + (block + b) * 16, _mm512_cvtepi32_ps(acc[i][b]));
}

template <int PARTS>
SANDERLING_LANES void dots_of(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h) {
  const std::size_t row = args.H * args.D, blocks = head.padded / 16;
  const std::int8_t* q = args.q + t * row + h * args.D;
  __m512i start[full_queries];
  SANDERLING_UNROLL
  for (std::size_t i = 0; i < full_queries; ++i) {
    start[i] = _mm512_setzero_si512();
    for (int g = 0; g < 8 * PARTS; ++g) start[i] = dot4(start[i], _mm512_set1_epi8(static_cast<char>(0x80)), word_of(q + i * row + 4 * g));
    start[i] = _mm512_sub_epi32(_mm512_setzero_si512(), start[i]);
  }
  std::size_t block = 0;
  for (; block + full_blocks <= blocks; block += full_blocks) block_dots<PARTS, full_blocks>(head, q, row, start, block);
  for (; block < blocks; ++block) block_dots<PARTS, 1>(head, q, row, start, block);
}

void full_weigh(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h, std::size_t,
                const float (&factor)[full_queries]) {
  const std::size_t row = args.H * args.D;
  // 64-bit pairs of the two registers of values, in the order of d.
  const __m512i low = _mm512_set_epi64(13, 12, 9, 8, 5, 4, 1, 0), high = _mm512_set_epi64(15, 14, 11, 10, 7, 6, 3, 2);
  for (std::size_t part = 0; part < args.D / 32; ++part) {
    __m512i acc[full_queries][2];
    SANDERLING_UNROLL
    for (std::size_t i = 0; i < full_queries; ++i) acc[i][0] = acc[i][1] = _mm512_setzero_si512();
    const std::int8_t* values = head.values + part * head.padded * 32;
    for (std::size_t j = 0; j < head.padded; j += 4, values += 128) {
      const __m512i a = _mm512_loadu_si512(values), b = _mm512_loadu_si512(values + 64);
      SANDERLING_UNROLL
      for (std::size_t i = 0; i < full_queries; ++i) {
        const __m512i word = word_of(head.p + i * head.padded + j);
        acc[i][0] = dot4(acc[i][0], word, a);
        acc[i][1] = dot4(acc[i][1], word, b);
      }
    }
    for (std::size_t i = 0; i < full_queries; ++i) {
      float* out = args.out + (t + i) * row + h * args.D + 32 * part;
      const __m512 f = _mm512_set1_ps(factor[i]);
      _mm512_storeu_ps(out, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_permutex2var_epi64(acc[i][0], low, acc[i][1])), f));
      _mm512_storeu_ps(out + 16, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_permutex2var_epi64(acc[i][0], high, acc[i][1])), f));
    }
  }
}

inline bool full_fits(std::size_t D) { return D == 32 || D == 64 || D == 128; }

void full_dots(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h) {
  switch (args.D) {
    case 32: return dots_of<1>(args, head, t, h);
    case 64: return dots_of<2>(args, head, t, h);
    default: return dots_of<4>(args, head, t, h);
  }
}

}  // namespace
