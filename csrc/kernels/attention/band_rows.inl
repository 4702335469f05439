// The integer parts of lanes.inl and band.inl on NEON, from the ISA file's dot_rows and weigh_rows. Those take a query at a time: for
// band.inl their dot products and sums lie along registers, so both matrices are transposed on the way. Include after band.inl.
namespace {

// The shipped models have windows of 16 keys and heads of 32.
void dot_keys(const std::int8_t* q, const std::int8_t* k, std::size_t row, std::size_t n, std::size_t D, float* dots) {
  if (n == 16 && D == 32) return dot_rows<true>(q, k, row, 16, 32, dots);
  dot_rows<false>(q, k, row, n, D, dots);
}

void weigh_values(const std::uint8_t* p, const std::int8_t* v, std::size_t row, std::size_t n, std::size_t D,
                  float factor, float* out) {
  if (n == 16 && D == 32) return weigh_rows<true>(p, v, row, 16, 32, factor, out);
  weigh_rows<false>(p, v, row, n, D, factor, out);
}

void band_keys(const std::int8_t* q, const std::int8_t* k, std::size_t row, std::size_t n, float (&dots)[band][16]) {
  alignas(16) float rows[16][band];
  for (std::size_t lane = 0; lane < n; ++lane)
    dot_rows<true>(q + lane * row, k + lane * row, row, band, band_dim, rows[lane]);
  for (std::size_t lane = n; lane < 16; ++lane) store(rows[lane], set1(0.0f));
  for (std::size_t i = 0; i < band; i += 4)
    for (std::size_t lane = 0; lane < 16; lane += 4) {
      const float32x4_t r0 = vld1q_f32(rows[lane] + i), r1 = vld1q_f32(rows[lane + 1] + i);
      const float32x4_t r2 = vld1q_f32(rows[lane + 2] + i), r3 = vld1q_f32(rows[lane + 3] + i);
      const float64x2_t low01 = vreinterpretq_f64_f32(vzip1q_f32(r0, r1)), high01 = vreinterpretq_f64_f32(vzip2q_f32(r0, r1));
      const float64x2_t low23 = vreinterpretq_f64_f32(vzip1q_f32(r2, r3)), high23 = vreinterpretq_f64_f32(vzip2q_f32(r2, r3));
      vst1q_f32(dots[i] + lane, vreinterpretq_f32_f64(vzip1q_f64(low01, low23)));
      vst1q_f32(dots[i + 1] + lane, vreinterpretq_f32_f64(vzip2q_f64(low01, low23)));
      vst1q_f32(dots[i + 2] + lane, vreinterpretq_f32_f64(vzip1q_f64(high01, high23)));
      vst1q_f32(dots[i + 3] + lane, vreinterpretq_f32_f64(vzip2q_f64(high01, high23)));
    }
}

// Interleaving the halves of 16 x 16 bytes moves the highest bit of an index to its end: four times transpose.
SANDERLING_LANES void interleave(const uint8x16_t (&from)[16], uint8x16_t (&to)[16]) {
  SANDERLING_UNROLL
  for (int i = 0; i < 8; ++i) {
    to[2 * i] = vzip1q_u8(from[i], from[i + 8]);
    to[2 * i + 1] = vzip2q_u8(from[i], from[i + 8]);
  }
}

void band_values(const std::uint8_t (&p)[band][16], const std::int8_t* v, std::size_t row, std::size_t n, const float (&factor)[16],
                 float* out) {
  uint8x16_t a[16], b[16];
  SANDERLING_UNROLL
  for (int i = 0; i < 16; ++i) a[i] = vld1q_u8(p[i]);
  interleave(a, b);
  interleave(b, a);
  interleave(a, b);
  interleave(b, a);
  alignas(16) std::uint8_t rows[16][band];
  SANDERLING_UNROLL
  for (int i = 0; i < 16; ++i) vst1q_u8(rows[i], a[i]);
  for (std::size_t lane = 0; lane < n; ++lane)
    weigh_rows<true>(rows[lane], v + lane * row, row, band, band_dim, factor[lane], out + lane * row);
}

}  // namespace
