// Full attention (window 0) of four queries at a time, in registers of 64 bytes: a head's keys and values are packed once for all its
// queries, and the lanes are keys. Include after band.inl and dot4(__m512i, ...), in the file of a tier with vpdpbusd.
namespace {

constexpr std::size_t full_queries = 4, full_blocks = 4;
constexpr std::size_t full_least = 16;  // keys below which packing costs more than it saves

// 16 keys of 32 bytes as 8 words, the unsigned side: offset by 128.
SANDERLING_LANES void pack_keys(const std::int8_t* k, std::size_t row, std::size_t from, std::size_t n, std::uint8_t* to) {
  __m512i words[8];
  transpose_words(k, row, from, n, words);
  SANDERLING_UNROLL
  for (int g = 0; g < 8; ++g) _mm512_storeu_si512(to + 64 * g, _mm512_xor_si512(words[g], _mm512_set1_epi8(static_cast<char>(0x80))));
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

SANDERLING_LANES __m512i word_of(const void* p) {
  std::int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return _mm512_set1_epi32(word);
}

// One head: its packs, scales by key, and the rows of four queries.
struct FullHead {
  std::size_t n, padded;
  std::uint8_t* keys;         // [padded / 16][D / 4][64]
  std::int8_t* values;        // [D / 32][padded / 4][128]
  float *k_scale, *v_scale;   // [padded], 0 beyond n
  float* logit;               // [full_queries][padded]
  std::uint8_t* p;            // [full_queries][padded]
};

// Dot products of BLOCKS blocks of keys from `block` on; D = 32 * PARTS.
template <int PARTS, int BLOCKS>
SANDERLING_LANES void full_dots(const FullHead& head, const std::int8_t* q, std::size_t row, const __m512i (&start)[full_queries], std::size_t block) {
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
SANDERLING_LANES void full_queries_run(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h) {
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
  for (; block + full_blocks <= blocks; block += full_blocks) full_dots<PARTS, full_blocks>(head, q, row, start, block);
  for (; block < blocks; ++block) full_dots<PARTS, 1>(head, q, row, start, block);

  f32x16 m[full_queries], scale[full_queries], sum[full_queries], top[full_queries];
  SANDERLING_UNROLL
  for (std::size_t i = 0; i < full_queries; ++i) {
    m[i] = set1(-3.4028234664e38f);
    scale[i] = set1(args.q_scale[(t + i) * args.H + h]);
    sum[i] = top[i] = set1(0.0f);
  }
  const f32x16 inv_sqrt_d = set1(args.inv_sqrt_d);
  const mask16 last = first(head.n - (blocks - 1) * 16);
  for (std::size_t b = 0; b < blocks; ++b) {
    const f32x16 k_scale = load(head.k_scale + 16 * b);
    SANDERLING_UNROLL
    for (std::size_t i = 0; i < full_queries; ++i) {
      float* at = head.logit + i * head.padded + 16 * b;
      const f32x16 logit = fma(load(at), mul(mul(scale[i], k_scale), inv_sqrt_d), set1(0.0f));
      store(at, logit);
      m[i] = max(b + 1 < blocks ? logit : select(last, logit, m[i]), m[i]);
    }
  }
  SANDERLING_UNROLL
  for (std::size_t i = 0; i < full_queries; ++i) m[i] = set1(fold_max(m[i]));
  for (std::size_t b = 0; b < blocks; ++b) {
    const f32x16 v_scale = load(head.v_scale + 16 * b);
    SANDERLING_UNROLL
    for (std::size_t i = 0; i < full_queries; ++i) {
      float* at = head.logit + i * head.padded + 16 * b;
      f32x16 weight = exp32_bounded(max(sub(load(at), m[i]), set1(-87.0f)));
      if (b + 1 == blocks) weight = select(last, weight, set1(0.0f));
      sum[i] = add(sum[i], weight);
      const f32x16 product = mul(weight, v_scale);
      store(at, product);
      top[i] = max(top[i], product);
    }
  }
  float factor[full_queries];
  for (std::size_t i = 0; i < full_queries; ++i) {
    const float G = fold_max(top[i]);
    const bool empty = G < 0x1p-100f;
    const f32x16 to_integer = set1(empty ? 0.0f : 127.0f / G);
    factor[i] = empty ? 0.0f : (G / 127.0f) / fold(sum[i]);
    for (std::size_t b = 0; b < blocks; ++b)
      store_int8(head.p + i * head.padded + 16 * b, mul(load(head.logit + i * head.padded + 16 * b), to_integer));
  }
  // 64-bit pairs of the two registers of values, in the order of d.
  const __m512i low = _mm512_set_epi64(13, 12, 9, 8, 5, 4, 1, 0), high = _mm512_set_epi64(15, 14, 11, 10, 7, 6, 3, 2);
  for (int part = 0; part < PARTS; ++part) {
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
      float* out = args.out + (t + i) * row + h * args.D + 32 * static_cast<std::size_t>(part);
      const __m512 f = _mm512_set1_ps(factor[i]);
      _mm512_storeu_ps(out, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_permutex2var_epi64(acc[i][0], low, acc[i][1])), f));
      _mm512_storeu_ps(out + 16, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_permutex2var_epi64(acc[i][0], high, acc[i][1])), f));
    }
  }
}

template <int PARTS>
void attention_full(const sanderling::AttentionArgs& args) {
  const std::size_t n = args.P + args.T, padded = (n + 15) / 16 * 16, row = args.H * args.D;
  FullHead head = {n, padded, nullptr, nullptr, args.work, args.work + padded, args.work + 2 * padded, nullptr};
  head.p = reinterpret_cast<std::uint8_t*>(head.logit + full_queries * padded);
  head.keys = head.p + full_queries * padded;
  head.values = reinterpret_cast<std::int8_t*>(head.keys + padded * args.D);
  for (std::size_t h = 0; h < args.H; ++h) {
    const std::int8_t *k = args.k + h * args.D, *v = args.v + h * args.D;
    for (std::size_t i = 0; i < padded; i += 16)
      for (std::size_t part = 0; part < PARTS; ++part) pack_keys(k + 32 * part, row, i, n, head.keys + (i / 16 * PARTS + part) * 512);
    for (std::size_t part = 0; part < PARTS; ++part)
      for (std::size_t i = 0; i < padded; i += 4) pack_values(v + 32 * part, row, i, n, head.values + part * padded * 32 + i * 32);
    for (std::size_t i = 0; i < padded; ++i) {
      head.k_scale[i] = i < n ? args.k_scale[i * args.H + h] : 0.0f;
      head.v_scale[i] = i < n ? args.v_scale[i * args.H + h] : 0.0f;
    }
    // The last four queries again rather than fewer: the same bits.
    for (std::size_t t = 0; t < args.T; t += full_queries)
      full_queries_run<PARTS>(args, head, t + full_queries <= args.T ? t : args.T - full_queries, h);
  }
}

// Whether attention_full ran.
inline bool attention_full_ran(const sanderling::AttentionArgs& args) {
  if (args.window != 0 || args.bias != nullptr || args.T < full_queries || args.P + args.T < full_least) return false;
  switch (args.D) {
    case 32: return attention_full<1>(args), true;
    case 64: return attention_full<2>(args), true;
    case 128: return attention_full<4>(args), true;
    default: return false;
  }
}

}  // namespace
