// The walk over tiles of the interleave4 tiers: rows by 4, then 2, then a single row with two blocks at a time. The ISA file
// defines tile_run; include after lanes/<isa>.h.
#include "kernels/qgemm/finish.inl"

namespace {

// ROWS rows x BLOCKS blocks of 16 channels, of which the first `columns` exist.
template <int ROWS, int BLOCKS>
void tile_run(const Tile& tile, std::size_t columns);

inline void tiles_run(const std::int8_t* a, const float* a_scale, const void* packed, const float* w_scale,
                      const float* bias, float* y, std::size_t ldy, std::size_t M, std::size_t N, std::size_t K,
                      bool add) {
  const std::int8_t* w = static_cast<const std::int8_t*>(packed);
  const auto tile = [=](std::size_t m, std::size_t n) {
    return Tile{a + m * K, a_scale + m, w + n * K, w_scale + n, bias ? bias + n : nullptr, y + m * ldy + n, ldy, K,
                add};
  };
  const std::size_t rows4 = M / 4 * 4;
  // Channels outside, rows inside: a block of weights stays in L1 while the rows pass.
  if (rows4)
    for (std::size_t n = 0; n < N; n += 16)
      for (std::size_t m = 0; m < rows4; m += 4) tile_run<4, 1>(tile(m, n), N - n);
  std::size_t m = rows4;
  if (M - m >= 2) {
    for (std::size_t n = 0; n < N; n += 16) tile_run<2, 1>(tile(m, n), N - n);
    m += 2;
  }
  if (m == M) return;
  std::size_t n = 0;
  // A pair of blocks needs at least one channel in the second.
  for (; n + 16 < N; n += 32) tile_run<1, 2>(tile(m, n), N - n);
  if (n < N) tile_run<1, 1>(tile(m, n), N - n);
}

}  // namespace
