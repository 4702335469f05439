#include "kernels/kernels.h"
#include "kernels/lanes/neon.h"
#include "kernels/qgemm/call.inl"
#include "kernels/qgemm/interleave4.inl"

// Two vector pipes, an SDOT of 16 products on each: at most 32 products a cycle. A 4 x 16 tile takes 20 loads for its 64 SDOT,
// which suits a front end of three instructions a cycle with one load (the A57's model) and one of four with two (A76, A78AE).
// These cores reorder, so the order is plain; the loops are written out because the compiler's cost a fifth more cycles, and so
// that a test finds them by their labels (tests/arm/test_mca.py).

#define ZERO(operand) "movi %" #operand ".4s, #0\n\t"
#define LOAD_A(a, row) "ldr q" #a ", [%[a" #row "], %[k]]\n\t"
#define LOAD_W(w, offset) "ldr q" #w ", [%[w], #" #offset "]\n\t"
#define LOAD_PAIR(w, v, offset) "ldp q" #w ", q" #v ", [%[w], #" #offset "]\n\t"
#define SDOT(acc, w, a, lane) "sdot %" #acc ".4s, v" #w ".16b, v" #a ".4b[" #lane "]\n\t"

namespace {

constexpr std::size_t block = 16;  // channels

// 16 channels from n on, those that exist.
struct Channels {
  std::size_t n, count;
  f32x16 scale, bias;
};
SANDERLING_LANES Channels channels(const Call& call, std::size_t n) {
  const std::size_t count = call.N - n;
  if (count >= block) return {n, count, load(call.w_scale + n), call.bias ? load(call.bias + n) : set1(0.0f)};
  return {n, count, load_first(call.w_scale + n, count), call.bias ? load_first(call.bias + n, count) : set1(0.0f)};
}

// y[row][n] of these channels from their sums.
SANDERLING_LANES void finish(const Call& call, std::size_t row, const Channels& to, int32x4_t c0, int32x4_t c1, int32x4_t c2,
                             int32x4_t c3) {
  const f32x16 acc = {vcvtq_f32_s32(c0), vcvtq_f32_s32(c1), vcvtq_f32_s32(c2), vcvtq_f32_s32(c3)};
  f32x16 value = fma(acc, mul(set1(call.a_scale[row]), to.scale), to.bias);
  float* y = call.y + row * call.ldy + to.n;
  if (to.count >= block) {
    if (call.add) value = add(load(y), value);
    store(y, value);
  } else {
    if (call.add) value = add(load_first(y, to.count), value);
    store_first(y, value, to.count);
  }
}

// A block x 4 rows. v0-3 rows, v4-11 channels; the operands 0-15 are [row][4 channels].
#define SDOT_4(w0, w1, w2, w3, row, c0, c1, c2, c3, lane) \
  SDOT(c0, w0, row, lane) SDOT(c1, w1, row, lane) SDOT(c2, w2, row, lane) SDOT(c3, w3, row, lane)
#define STEP_4(w0, w1, w2, w3, lane)                                                                     \
  SDOT_4(w0, w1, w2, w3, 0, 0, 1, 2, 3, lane) SDOT_4(w0, w1, w2, w3, 1, 4, 5, 6, 7, lane)                \
  SDOT_4(w0, w1, w2, w3, 2, 8, 9, 10, 11, lane) SDOT_4(w0, w1, w2, w3, 3, 12, 13, 14, 15, lane)

// The channels n .. n + 15 of `rows` rows, a multiple of 4.
__attribute__((noinline)) void rows4(const Call& call, std::size_t rows, std::size_t n) {
  for (std::size_t row = 0; row < rows; row += 4) {
    const std::int8_t* w = call.packed + n * call.K;
    std::ptrdiff_t k = -static_cast<std::ptrdiff_t>(call.K);  // counts up to 0: the end of the rows
    const std::int8_t* a = call.a + row * call.K - k;
    int32x4_t c[4][4];
    __asm__(
        ZERO(0) ZERO(1) ZERO(2) ZERO(3) ZERO(4) ZERO(5) ZERO(6) ZERO(7) ZERO(8) ZERO(9) ZERO(10) ZERO(11) ZERO(12) ZERO(13)
        ZERO(14) ZERO(15)
        "sanderling_qgemm_neon_dotprod_4x16_%=:\n\t"
        LOAD_A(0, 0) LOAD_A(1, 1) LOAD_A(2, 2) LOAD_A(3, 3)
        "adds %[k], %[k], #16\n\t"
        LOAD_W(4, 0) LOAD_W(5, 16) LOAD_W(6, 32) LOAD_W(7, 48)
        STEP_4(4, 5, 6, 7, 0)
        LOAD_W(8, 64) LOAD_W(9, 80) LOAD_W(10, 96) LOAD_W(11, 112)
        STEP_4(8, 9, 10, 11, 1)
        LOAD_W(4, 128) LOAD_W(5, 144) LOAD_W(6, 160) LOAD_W(7, 176)
        STEP_4(4, 5, 6, 7, 2)
        LOAD_W(8, 192) LOAD_W(9, 208) LOAD_W(10, 224) LOAD_W(11, 240)
        STEP_4(8, 9, 10, 11, 3)
        "add %[w], %[w], #256\n\t"
        "b.ne sanderling_qgemm_neon_dotprod_4x16_%=\n\t"
        : "=&w"(c[0][0]), "=&w"(c[0][1]), "=&w"(c[0][2]), "=&w"(c[0][3]), "=&w"(c[1][0]), "=&w"(c[1][1]), "=&w"(c[1][2]),
          "=&w"(c[1][3]), "=&w"(c[2][0]), "=&w"(c[2][1]), "=&w"(c[2][2]), "=&w"(c[2][3]), "=&w"(c[3][0]), "=&w"(c[3][1]),
          "=&w"(c[3][2]), "=&w"(c[3][3]), [w] "+r"(w), [k] "+r"(k)
        : [a0] "r"(a), [a1] "r"(a + call.K), [a2] "r"(a + 2 * call.K), [a3] "r"(a + 3 * call.K)
        : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "cc", "memory");
    const Channels to = channels(call, n);
    SANDERLING_UNROLL
    for (std::size_t r = 0; r < 4; ++r) finish(call, row + r, to, c[r][0], c[r][1], c[r][2], c[r][3]);
  }
}

// A block x 1 row: the packed weights are read once, front to back, two loads a cache line. Even and odd steps add up apart: four
// sums alone would wait for themselves. v0 the row, v4-11 channels.
#define STEP_1(w0, w1, w2, w3, c0, c1, c2, c3, lane, offset0, offset1) \
  LOAD_PAIR(w0, w1, offset0) LOAD_PAIR(w2, w3, offset1) SDOT_4(w0, w1, w2, w3, 0, c0, c1, c2, c3, lane)

// The channels from .. to - 1, whole blocks, of one row.
__attribute__((noinline)) void row1(const Call& call, std::size_t row, std::size_t from, std::size_t to) {
  const std::int8_t* w = call.packed + from * call.K;
  const std::ptrdiff_t first = -static_cast<std::ptrdiff_t>(call.K);
  const std::int8_t* a = call.a + row * call.K - first;
  for (std::size_t n = from; n < to; n += block) {
    std::ptrdiff_t k = first;
    int32x4_t c[8];
    __asm__(
        ZERO(0) ZERO(1) ZERO(2) ZERO(3) ZERO(4) ZERO(5) ZERO(6) ZERO(7)
        "sanderling_qgemm_neon_dotprod_1x16_%=:\n\t"
        LOAD_A(0, 0)
        "adds %[k], %[k], #16\n\t"
        STEP_1(4, 5, 6, 7, 0, 1, 2, 3, 0, 0, 32)
        STEP_1(8, 9, 10, 11, 4, 5, 6, 7, 1, 64, 96)
        STEP_1(4, 5, 6, 7, 0, 1, 2, 3, 2, 128, 160)
        STEP_1(8, 9, 10, 11, 4, 5, 6, 7, 3, 192, 224)
        "add %[w], %[w], #256\n\t"
        "b.ne sanderling_qgemm_neon_dotprod_1x16_%=\n\t"
        : "=&w"(c[0]), "=&w"(c[1]), "=&w"(c[2]), "=&w"(c[3]), "=&w"(c[4]), "=&w"(c[5]), "=&w"(c[6]), "=&w"(c[7]),
          [w] "+r"(w), [k] "+r"(k)
        : [a0] "r"(a)
        : "v0", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "cc", "memory");
    finish(call, row, channels(call, n), vaddq_s32(c[0], c[4]), vaddq_s32(c[1], c[5]), vaddq_s32(c[2], c[6]),
           vaddq_s32(c[3], c[7]));
  }
}

}  // namespace

namespace sanderling {

std::size_t qgemm_size_neon_dotprod(std::size_t N, std::size_t K) { return interleave4_size(N, K); }

void qgemm_pack_neon_dotprod(const std::int8_t* w, std::size_t N, std::size_t K, void* packed) {
  interleave4_pack(w, N, K, packed);
}

void qgemm_run_neon_dotprod(const std::int8_t* a, const float* a_scale, const void* packed, const float* w_scale,
                            const float* bias, float* y, std::size_t ldy, std::size_t M, std::size_t N,
                            std::size_t K, bool add) {
  const Call call{a, a_scale, static_cast<const std::int8_t*>(packed), w_scale, bias, y, ldy, N, K, add};
  if (M == 1) return row1(call, 0, 0, N);
  // Channels outside, rows inside: a block of weights stays in L1 while the rows pass.
  const std::size_t rows = M / 4 * 4;
  for (std::size_t n = 0; n < N; n += block) {
    rows4(call, rows, n);
    for (std::size_t row = rows; row < M; ++row) row1(call, row, n, n + block);
  }
}

}  // namespace sanderling
