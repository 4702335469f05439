// The float linear layer over the 16 virtual lanes; include after lanes/<isa>.h. Lanes are output columns, so that every
// column keeps its own k-ascending chain whatever the blocking.
namespace {

// ROWS rows x COLS blocks of 16 columns.
template <int ROWS, int COLS>
SANDERLING_LANES void linear_block(const float* x, const float* w, const float* bias, float* y, std::size_t K,
                                   std::size_t N) {
  f32x16 acc[ROWS][COLS];
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r)
    SANDERLING_UNROLL
    for (int c = 0; c < COLS; ++c) acc[r][c] = load(bias + 16 * c);
  for (std::size_t k = 0; k < K; ++k) {
    f32x16 weights[COLS];
    SANDERLING_UNROLL
    for (int c = 0; c < COLS; ++c) weights[c] = load(w + k * N + 16 * c);
    SANDERLING_UNROLL
    for (int r = 0; r < ROWS; ++r) {
      const f32x16 value = set1(x[r * K + k]);
      SANDERLING_UNROLL
      for (int c = 0; c < COLS; ++c) acc[r][c] = fma(value, weights[c], acc[r][c]);
    }
  }
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r)
    SANDERLING_UNROLL
    for (int c = 0; c < COLS; ++c) store(y + r * N + 16 * c, acc[r][c]);
}

template <int ROWS>
SANDERLING_LANES void linear_rows(const float* x, const float* w, const float* bias, float* y, std::size_t K,
                                  std::size_t N) {
  constexpr int wide = ROWS == 1 ? 4 : 1;
  std::size_t n = 0;
  for (; n + 16 * wide <= N; n += 16 * wide) linear_block<ROWS, wide>(x, w + n, bias + n, y + n, K, N);
  for (; n + 16 <= N; n += 16) linear_block<ROWS, 1>(x, w + n, bias + n, y + n, K, N);
  // The last block overlaps its neighbour: the shared columns are written twice with the same bits.
  if (n < N) linear_block<ROWS, 1>(x, w + N - 16, bias + N - 16, y + N - 16, K, N);
}

SANDERLING_LANES void linear_narrow(const float* x, const float* w, const float* bias, float* y, std::size_t M,
                                    std::size_t K, std::size_t N) {
  for (std::size_t m = 0; m < M; ++m)
    for (std::size_t n = 0; n < N; ++n) {
      float acc = bias[n];
      for (std::size_t k = 0; k < K; ++k) acc = __builtin_fmaf(x[m * K + k], w[k * N + n], acc);
      y[m * N + n] = acc;
    }
}

SANDERLING_LANES void linear_f32_lanes(const float* x, const float* w, const float* bias, float* y, std::size_t M,
                                       std::size_t K, std::size_t N) {
  if (N < 16) {
    linear_narrow(x, w, bias, y, M, K, N);
    return;
  }
  std::size_t m = 0;
  for (; m + 4 <= M; m += 4) linear_rows<4>(x + m * K, w, bias, y + m * N, K, N);
  for (; m < M; ++m) linear_rows<1>(x + m * K, w, bias, y + m * N, K, N);
}

}  // namespace
