// Heads packed for the tiers with registers of 64 bytes; include after full.inl. The ISA file defines key_offset, which the packed keys'
// bytes are flipped by.
namespace {

// Row i of n as 32 bytes; a row beyond the end is the last one.
SANDERLING_LANES __m256i row32(const std::int8_t* p, std::size_t row, std::size_t i, std::size_t n) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row_at(p, row, i, n)));
}

// Sixteen rows of 32 bytes as eight columns of 4-byte words: to[g] = word g of each row.
SANDERLING_LANES void transpose_words(const std::int8_t* p, std::size_t row, std::size_t from, std::size_t n, __m512i (&to)[8]) {
  __m512i r[8], s[8];
  // Rows i and i + 8 side by side.
  SANDERLING_UNROLL
  for (std::size_t i = 0; i < 8; ++i)
    r[i] = _mm512_inserti64x4(_mm512_castsi256_si512(row32(p, row, from + i, n)), row32(p, row, from + i + 8, n), 1);
  SANDERLING_UNROLL
  for (int i = 0; i < 8; i += 2) {
    s[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    s[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  SANDERLING_UNROLL
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm512_unpacklo_epi64(s[i], s[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(s[i], s[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(s[i + 1], s[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(s[i + 1], s[i + 3]);
  }
  // r[g] has rows 0-3 | 8-11 and r[g + 4] rows 4-7 | 12-15, each of word g, then of word g + 4.
  const __m512i low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0), high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
  SANDERLING_UNROLL
  for (int g = 0; g < 4; ++g) {
    to[g] = _mm512_permutex2var_epi64(r[g], low, r[g + 4]);
    to[g + 4] = _mm512_permutex2var_epi64(r[g], high, r[g + 4]);
  }
}

// 16 keys of 32 bytes as 8 words.
SANDERLING_LANES void pack_keys(const std::int8_t* k, std::size_t row, std::size_t from, std::size_t n, std::uint8_t* to) {
  __m512i words[8];
  transpose_words(k, row, from, n, words);
  SANDERLING_UNROLL
  for (int g = 0; g < 8; ++g) _mm512_storeu_si512(to + 64 * g, _mm512_xor_si512(words[g], _mm512_set1_epi8(key_offset)));
}

// 4 values of 32 bytes as two registers of 4-key words: d 0-3 | 16-19 | 4-7 | 20-23, then 8-11 | 24-27 | 12-15 | 28-31.
SANDERLING_LANES void pack_values(const std::int8_t* v, std::size_t row, std::size_t from, std::size_t n, std::int8_t* to) {
  const __m256i r0 = row32(v, row, from, n), r1 = row32(v, row, from + 1, n);
  const __m256i r2 = row32(v, row, from + 2, n), r3 = row32(v, row, from + 3, n);
  const __m256i low01 = _mm256_unpacklo_epi8(r0, r1), high01 = _mm256_unpackhi_epi8(r0, r1);
  const __m256i low23 = _mm256_unpacklo_epi8(r2, r3), high23 = _mm256_unpackhi_epi8(r2, r3);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_unpacklo_epi16(low01, low23));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 32), _mm256_unpackhi_epi16(low01, low23));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 64), _mm256_unpacklo_epi16(high01, high23));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 96), _mm256_unpackhi_epi16(high01, high23));
}

// keys: [padded / 16][D / 32][8 words][16 keys]; values: [D / 32][deep / 4][2 registers of four keys' words].
void full_pack(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t h) {
  const std::size_t row = args.H * args.D, parts = args.D / 32;
  const std::int8_t *k = args.k + h * args.D, *v = args.v + h * args.D;
  for (std::size_t part = 0; part < parts; ++part) {
    for (std::size_t i = 0; i < head.padded; i += 16) pack_keys(k + 32 * part, row, i, head.n, head.keys + (i / 16 * parts + part) * 512);
    for (std::size_t i = 0; i < head.padded; i += 4) pack_values(v + 32 * part, row, i, head.n, head.values + (part * head.deep + i) * 32);
    __builtin_memset(head.values + (part * head.deep + head.padded) * 32, 0, (head.deep - head.padded) * 32);
  }
}

}  // namespace
