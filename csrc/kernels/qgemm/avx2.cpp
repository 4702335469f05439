#include "kernels/kernels.h"
#include "kernels/lanes/avx2.h"
#include "kernels/qgemm/interleave4.inl"
#include "kernels/qgemm/tiles.inl"

namespace {

SANDERLING_LANES __m256i broadcast4(const std::int8_t* p) {
  std::int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return _mm256_set1_epi32(word);
}

// acc += a . w over 4 k; |a| and sign(w, a) keep vpmaddubsw exact: a pair is at most 2 * 127 * 127.
SANDERLING_LANES __m256i dot4(__m256i acc, __m256i a, __m256i a_abs, __m256i w) {
  const __m256i pairs = _mm256_maddubs_epi16(a_abs, _mm256_sign_epi8(w, a));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

template <int ROWS, int BLOCKS>
void tile_run(const Tile& tile, std::size_t columns) {
  __m256i lo[ROWS][BLOCKS], hi[ROWS][BLOCKS];
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    SANDERLING_UNROLL
    for (int b = 0; b < BLOCKS; ++b) lo[r][b] = hi[r][b] = _mm256_setzero_si256();
  }
  for (std::size_t k = 0; k < tile.K; k += 4) {
    const std::int8_t* w = tile.w + 16 * k;
    SANDERLING_UNROLL
    for (int r = 0; r < ROWS; ++r) {
      const __m256i a = broadcast4(tile.a + r * tile.K + k);
      const __m256i a_abs = _mm256_abs_epi8(a);
      SANDERLING_UNROLL
      for (int b = 0; b < BLOCKS; ++b) {
        const __m256i* block = reinterpret_cast<const __m256i*>(w + b * 16 * tile.K);
        lo[r][b] = dot4(lo[r][b], a, a_abs, _mm256_loadu_si256(block));
        hi[r][b] = dot4(hi[r][b], a, a_abs, _mm256_loadu_si256(block + 1));
      }
    }
  }
  SANDERLING_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    SANDERLING_UNROLL
    for (int b = 0; b < BLOCKS; ++b) {
      const f32x16 acc = {_mm256_cvtepi32_ps(lo[r][b]), _mm256_cvtepi32_ps(hi[r][b])};
      finish(tile, r, 16 * b, columns - 16 * b, acc);
    }
  }
}

}  // namespace

namespace sanderling {

std::size_t qgemm_size_avx2(std::size_t N, std::size_t K) { return interleave4_size(N, K); }

void qgemm_pack_avx2(const std::int8_t* w, std::size_t N, std::size_t K, void* packed) {
  interleave4_pack(w, N, K, packed);
}

void qgemm_run_avx2(const std::int8_t* a, const float* a_scale, const void* packed, const float* w_scale,
                    const float* bias, float* y, std::size_t ldy, std::size_t M, std::size_t N, std::size_t K,
                    bool add) {
  tiles_run(a, a_scale, packed, w_scale, bias, y, ldy, M, N, K, add);
}

}  // namespace sanderling
