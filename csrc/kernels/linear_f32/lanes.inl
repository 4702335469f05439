// The float linear layer over the 16 virtual lanes; include after lanes/<isa>.h. Lanes are output columns, so that every
// column keeps its own k-ascending chain whatever the blocking.
namespace {

// Enough chains of fma, and few enough for the accumulators to stay in registers.
constexpr int linear_rows = SANDERLING_LANE_REGISTERS == 1 ? 8 : 4;
constexpr int linear_columns = SANDERLING_LANE_REGISTERS == 1 ? 2 : 1;   // blocks of 16 with several rows
constexpr int linear_wide = SANDERLING_LANE_REGISTERS == 1 ? 12 : 4;     // and with one

template <int N>
struct Count {
  static constexpr int value = N;
};

// Block b of 16 columns. The last one overlaps its neighbour: the shared columns are written twice with the same bits.
SANDERLING_LANES std::size_t column(std::size_t b, std::size_t N) { return 16 * b + 16 <= N ? 16 * b : N - 16; }

// ROWS rows x COLS blocks of 16 columns from block b on.
template <int ROWS, int COLS>
SANDERLING_LANES void linear_block(const float* x, const float* w, const float* bias, float* y, std::size_t K,
                                   std::size_t N, std::size_t b) {
  f32x16 acc[ROWS][COLS];
  std::size_t at[COLS];
  SANDERLING_UNROLL
  for (int c = 0; c < COLS; ++c) at[c] = column(b + c, N);
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r)
    SANDERLING_UNROLL
    for (int c = 0; c < COLS; ++c) acc[r][c] = load(bias + at[c]);
  for (std::size_t k = 0; k < K; ++k) {
    f32x16 weights[COLS];
    SANDERLING_UNROLL
    for (int c = 0; c < COLS; ++c) weights[c] = load(w + k * N + at[c]);
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
    for (int c = 0; c < COLS; ++c) store(y + r * N + at[c], acc[r][c]);
}

// Every panel of ROWS rows for one block of columns before the next: its weights stay in L1.
template <int ROWS, int COLS>
SANDERLING_LANES void linear_panels(const float* x, const float* w, const float* bias, float* y, std::size_t M, std::size_t K,
                                    std::size_t N) {
  const std::size_t blocks = (N + 15) / 16;
  const auto rows = [&](auto columns, std::size_t b) {
    for (std::size_t m = 0; m + ROWS <= M; m += ROWS)
      linear_block<ROWS, decltype(columns)::value>(x + m * K, w, bias, y + m * N, K, N, b);
  };
  std::size_t b = 0;
  for (; b + COLS <= blocks; b += COLS) rows(Count<COLS>(), b);
  if (COLS > 4)
    for (; b + 4 <= blocks; b += 4) rows(Count<4>(), b);
  if (COLS > 2)
    for (; b + 2 <= blocks; b += 2) rows(Count<2>(), b);
  for (; b < blocks; ++b) rows(Count<1>(), b);
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
  const std::size_t m = M - M % linear_rows;
  linear_panels<linear_rows, linear_columns>(x, w, bias, y, m, K, N);
  for (std::size_t row = m; row < M; ++row) linear_panels<1, linear_wide>(x + row * K, w, bias, y + row * N, 1, K, N);
}

}  // namespace
