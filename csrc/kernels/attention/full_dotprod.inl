// The integer parts of full.inl with sdot; include after it, dot_rows and columns_of.
namespace {

// keys: the head's rows side by side; values: [D / 16][padded / 4][4 registers of four keys' words].
void full_pack(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t h) {
  const std::size_t row = args.H * args.D, D = args.D;
  const std::int8_t *k = args.k + h * D, *v = args.v + h * D;
  for (std::size_t j = 0; j < head.padded; ++j) __builtin_memcpy(head.keys + j * D, row_at(k, row, j, head.n), D);
  std::int8_t* to = head.values;
  for (std::size_t d = 0; d < D; d += 16)
    for (std::size_t j = 0; j < head.padded; j += 4, to += 64) {
      int8x16_t r[4], columns[4];
      SANDERLING_UNROLL
      for (std::size_t i = 0; i < 4; ++i) r[i] = vld1q_s8(row_at(v, row, j + i, head.n) + d);
      columns_of(r[0], r[1], r[2], r[3], columns);
      SANDERLING_UNROLL
      for (int i = 0; i < 4; ++i) vst1q_s8(to + 16 * i, columns[i]);
    }
}

void full_weigh(const sanderling::AttentionArgs& args, const FullHead& head, std::size_t t, std::size_t h, std::size_t,
                const float (&factor)[full_queries]) {
  const std::size_t row = args.H * args.D;
  const std::int8_t* values = head.values;
  for (std::size_t d = 0; d < args.D; d += 16) {
    int32x4_t acc[full_queries][4];
    SANDERLING_UNROLL
    for (std::size_t i = 0; i < full_queries; ++i)
      SANDERLING_UNROLL
      for (int j = 0; j < 4; ++j) acc[i][j] = vdupq_n_s32(0);
    for (std::size_t j = 0; j < head.padded; j += 4, values += 64) {
      int8x16_t columns[4];
      SANDERLING_UNROLL
      for (int r = 0; r < 4; ++r) columns[r] = vld1q_s8(values + 16 * r);
      SANDERLING_UNROLL
      for (std::size_t i = 0; i < full_queries; ++i) {
        const int8x16_t weights = broadcast4(head.p + i * head.padded + j);
        SANDERLING_UNROLL
        for (int r = 0; r < 4; ++r) acc[i][r] = vdotq_s32(acc[i][r], columns[r], weights);
      }
    }
    SANDERLING_UNROLL
    for (std::size_t i = 0; i < full_queries; ++i) {
      const f32x16 sums = {vcvtq_f32_s32(acc[i][0]), vcvtq_f32_s32(acc[i][1]), vcvtq_f32_s32(acc[i][2]), vcvtq_f32_s32(acc[i][3])};
      store(args.out + (t + i) * row + h * args.D + d, mul(sums, set1(factor[i])));
    }
  }
}

}  // namespace
