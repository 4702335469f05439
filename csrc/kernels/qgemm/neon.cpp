#include "kernels/kernels.h"
#include "kernels/lanes/neon.h"
#include "kernels/qgemm/call.inl"

// Packed: groups of 8 output channels; inside a group, for every 16 consecutive k, 128 bytes = 8 channels x 16 k. Channels
// beyond N are zero.
//
// SMULL + SMLAL2 stay inside int16 (2 * 127 * 127 = 32,258), SADALP widens their sums: 3 vector instructions for 16 products. A57
// and A72 multiply on one pipe, at most 8 products a cycle; the A53 starts one vector instruction a cycle, at most 16 / 3.
// Both loops are written out, because the A53 runs them in their order: eight independent products before the first is used,
// the sums of one step after the loads of the next. A 128-bit load takes the A53 the two issue cycles of two 64-bit ones, and
// the A72 one instead of two. By their labels a test finds the loops in the object (tests/arm/test_mca.py).

#define SMULL(t, w, a) "smull v" #t ".8h, v" #w ".8b, v" #a ".8b\n\t"
#define SMLAL(t, w, a) "smlal2 v" #t ".8h, v" #w ".16b, v" #a ".16b\n\t"
#define SADALP(acc, t) "sadalp %" #acc ".4s, v" #t ".8h\n\t"
#define ZERO(acc) "movi %" #acc ".4s, #0\n\t"
#define NEXT_STEP "add %[w], %[w], #128\n\tadds %[k], %[k], #16\n\t"
#define LOAD_W(w, offset) "ldr q" #w ", [%[w], #" #offset "]\n\t"
#define LOAD_A(a, row) "ldr q" #a ", [%[a" #row "], %[k]]\n\t"

namespace {

constexpr std::size_t group = 8;  // channels
constexpr std::size_t step = 16;  // k

// Four channels from n on, those that exist.
struct Channels {
  std::size_t n, count;
  float32x4_t scale, bias;
};
SANDERLING_LANES Channels channels(const Call& call, std::size_t n) {
  const std::size_t count = call.N - n;
  return {n, count, load4_first(call.w_scale + n, count), call.bias ? load4_first(call.bias + n, count) : vdupq_n_f32(0.0f)};
}

// y[row][n] of these channels from the parts of their four sums.
SANDERLING_LANES void finish(const Call& call, std::size_t row, const Channels& to, int32x4_t a, int32x4_t b, int32x4_t c,
                             int32x4_t d) {
  const int32x4_t acc = vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
  const float32x4_t scale = vmulq_n_f32(to.scale, call.a_scale[row]);
  float* y = call.y + row * call.ldy + to.n;
  float32x4_t value = vfmaq_f32(to.bias, vcvtq_f32_s32(acc), scale);
  if (call.add) value = vaddq_f32(load4_first(y, to.count), value);
  store4_first(y, value, to.count);
}

// Half a group (4 channels) x 4 rows. v0-3 rows, v4-7 channels, v8-15 products; the operands 0-15 are [channel][row].
#define MULTIPLY_4x2(w0, w1)                                                                                        \
  SMULL(8, w0, 0) SMULL(9, w0, 1) SMULL(10, w0, 2) SMULL(11, w0, 3)                                                 \
  SMULL(12, w1, 0) SMULL(13, w1, 1) SMULL(14, w1, 2) SMULL(15, w1, 3)                                               \
  SMLAL(8, w0, 0) SMLAL(9, w0, 1) SMLAL(10, w0, 2) SMLAL(11, w0, 3)                                                 \
  SMLAL(12, w1, 0) SMLAL(13, w1, 1) SMLAL(14, w1, 2) SMLAL(15, w1, 3)
#define SUM_FIRST_HALF                                                                                              \
  SADALP(0, 8) SADALP(1, 9) SADALP(2, 10) SADALP(3, 11) SADALP(4, 12) SADALP(5, 13) SADALP(6, 14) SADALP(7, 15)
#define SUM_SECOND_HALF                                                                                             \
  SADALP(8, 8) SADALP(9, 9) SADALP(10, 10) SADALP(11, 11) SADALP(12, 12) SADALP(13, 13) SADALP(14, 14) SADALP(15, 15)
#define LOAD_4x2 LOAD_A(0, 0) LOAD_A(1, 1) LOAD_A(2, 2) LOAD_A(3, 3) LOAD_W(6, 32) LOAD_W(7, 48)

// The channels n .. n + 3 of `rows` rows, a multiple of 4.
__attribute__((noinline)) void rows4(const Call& call, std::size_t rows, std::size_t n) {
  const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(step) - static_cast<std::ptrdiff_t>(call.K);
  for (std::size_t row = 0; row < rows; row += 4) {
    const std::int8_t* w = call.packed + n / group * group * call.K + n % group * step;
    const std::int8_t* a = call.a + row * call.K - first;
    std::ptrdiff_t k = first;  // counts up to 0: the last 16 k
    int32x4_t c[4][4];
    __asm__(
        ZERO(0) ZERO(1) ZERO(2) ZERO(3) ZERO(4) ZERO(5) ZERO(6) ZERO(7)
        ZERO(8) ZERO(9) ZERO(10) ZERO(11) ZERO(12) ZERO(13) ZERO(14) ZERO(15)
        LOAD_W(4, 0) LOAD_W(5, 16) LOAD_4x2
        "cbz %[k], 2f\n\t"
        NEXT_STEP
        "b 1f\n"
        "sanderling_qgemm_neon_4x4_%=:\n\t"
        NEXT_STEP
        SUM_SECOND_HALF
        "1:\n\t"
        MULTIPLY_4x2(4, 5)
        LOAD_W(4, 0) LOAD_W(5, 16)
        SUM_FIRST_HALF
        MULTIPLY_4x2(6, 7)
        LOAD_4x2
        "b.ne sanderling_qgemm_neon_4x4_%=\n\t"
        SUM_SECOND_HALF
        "2:\n\t"
        MULTIPLY_4x2(4, 5) SUM_FIRST_HALF MULTIPLY_4x2(6, 7) SUM_SECOND_HALF
        : "=&w"(c[0][0]), "=&w"(c[0][1]), "=&w"(c[0][2]), "=&w"(c[0][3]), "=&w"(c[1][0]), "=&w"(c[1][1]), "=&w"(c[1][2]),
          "=&w"(c[1][3]), "=&w"(c[2][0]), "=&w"(c[2][1]), "=&w"(c[2][2]), "=&w"(c[2][3]), "=&w"(c[3][0]), "=&w"(c[3][1]),
          "=&w"(c[3][2]), "=&w"(c[3][3]), [w] "+r"(w), [k] "+r"(k)
        : [a0] "r"(a), [a1] "r"(a + call.K), [a2] "r"(a + 2 * call.K), [a3] "r"(a + 3 * call.K)
        : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "cc", "memory");
    const Channels to = channels(call, n);
    SANDERLING_UNROLL
    for (std::size_t r = 0; r < 4; ++r) finish(call, row + r, to, c[0][r], c[1][r], c[2][r], c[3][r]);
  }
}

// A group (8 channels) x 1 row: the packed weights are read once, front to back. v0-7 channels, v16-23 products, v8 the row.
#define SUM_8 SADALP(0, 16) SADALP(1, 17) SADALP(2, 18) SADALP(3, 19) SADALP(4, 20) SADALP(5, 21) SADALP(6, 22) SADALP(7, 23)
#define MULTIPLY_8                                                                                                  \
  SMULL(16, 0, 8) SMULL(17, 1, 8) SMULL(18, 2, 8) SMULL(19, 3, 8) SMULL(20, 4, 8) SMULL(21, 5, 8) SMULL(22, 6, 8)   \
  SMULL(23, 7, 8) SMLAL(16, 0, 8) SMLAL(17, 1, 8) SMLAL(18, 2, 8) SMLAL(19, 3, 8) SMLAL(20, 4, 8) SMLAL(21, 5, 8)   \
  SMLAL(22, 6, 8) SMLAL(23, 7, 8)
#define LOAD_8                                                                                                      \
  LOAD_A(8, 0) LOAD_W(0, 0) LOAD_W(1, 16) LOAD_W(2, 32) LOAD_W(3, 48) LOAD_W(4, 64) LOAD_W(5, 80) LOAD_W(6, 96)     \
  LOAD_W(7, 112)

// The channels from .. to - 1, whole groups, of one row.
__attribute__((noinline)) void row1(const Call& call, std::size_t row, std::size_t from, std::size_t to) {
  const std::int8_t* w = call.packed + from * call.K;
  const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(step) - static_cast<std::ptrdiff_t>(call.K);
  const std::int8_t* a = call.a + row * call.K - first;
  for (std::size_t n = from; n < to; n += group) {
    std::ptrdiff_t k = first;
    int32x4_t c[8];
    __asm__(
        ZERO(0) ZERO(1) ZERO(2) ZERO(3) ZERO(4) ZERO(5) ZERO(6) ZERO(7)
        LOAD_8
        "cbz %[k], 2f\n\t"
        NEXT_STEP
        "b 1f\n"
        "sanderling_qgemm_neon_1x8_%=:\n\t"
        NEXT_STEP
        SUM_8
        "1:\n\t"
        MULTIPLY_8
        LOAD_8
        "prfm pldl1keep, [%[w], #512]\n\t"
        "prfm pldl1keep, [%[w], #576]\n\t"
        "b.ne sanderling_qgemm_neon_1x8_%=\n\t"
        SUM_8
        "2:\n\t"
        MULTIPLY_8 SUM_8
        "add %[w], %[w], #128\n\t"
        : "=&w"(c[0]), "=&w"(c[1]), "=&w"(c[2]), "=&w"(c[3]), "=&w"(c[4]), "=&w"(c[5]), "=&w"(c[6]), "=&w"(c[7]),
          [w] "+r"(w), [k] "+r"(k)
        : [a0] "r"(a)
        : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "cc",
          "memory");
    finish(call, row, channels(call, n), c[0], c[1], c[2], c[3]);
    if (n + 4 < call.N) finish(call, row, channels(call, n + 4), c[4], c[5], c[6], c[7]);
  }
}

}  // namespace

namespace sanderling {

std::size_t qgemm_size_neon(std::size_t N, std::size_t K) { return (N + group - 1) / group * group * K; }

void qgemm_pack_neon(const std::int8_t* w, std::size_t N, std::size_t K, void* packed) {
  std::int8_t* out = static_cast<std::int8_t*>(packed);
  for (std::size_t from = 0; from < N; from += group)
    for (std::size_t k = 0; k < K; k += step)
      for (std::size_t n = from; n < from + group; ++n)
        for (std::size_t i = 0; i < step; ++i) *out++ = n < N ? w[n * K + k + i] : std::int8_t{0};
}

void qgemm_run_neon(const std::int8_t* a, const float* a_scale, const void* packed, const float* w_scale,
                    const float* bias, float* y, std::size_t ldy, std::size_t M, std::size_t N, std::size_t K,
                    bool add) {
  const Call call{a, a_scale, static_cast<const std::int8_t*>(packed), w_scale, bias, y, ldy, N, K, add};
  if (M == 1) return row1(call, 0, 0, N);
  // Channels outside, rows inside: a group of weights stays in L1 while the rows pass.
  const std::size_t rows = M / 4 * 4;
  for (std::size_t n = 0; n < N; n += group) {
    rows4(call, rows, n);
    if (n + 4 < N) rows4(call, rows, n + 4);
    for (std::size_t row = rows; row < M; ++row) row1(call, row, n, n + group);
  }
}

}  // namespace sanderling
