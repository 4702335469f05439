// The kernel contract: the meaning, shapes, rounding, overflow bound and memory of every kernel.
//
// A kernel lives in kernels/<op>/<isa>.cpp and exports <op>_<isa> (packed ops: <op>_size_<isa>, <op>_pack_<isa>,
// <op>_run_<isa>). registry.cpp is the table ISA x op. kernels/<op>/reference.cpp is the specification: every other
// variant returns its bits, integers and floats alike.
//
// One arithmetic (all ops):
//  - A float reduction over index i runs in 16 virtual lanes (lane = i mod 16, i ascending inside a lane, lanes start at
//    +0.0f) and is folded 16-8-4-2-1: a[i] += a[i+8] (i<8); a[i] += a[i+4] (i<4); a[i] += a[i+2] (i<2); a[0] + a[1].
//  - Only + - * / sqrt, compares, explicit fma (written fma(a,b,c) = round(a*b + c) below) and round-to-nearest-even
//    conversion. No estimates, no libm transcendental, -ffp-contract=off, default FP environment (RNE, no FTZ/DAZ).
//  - Inputs are finite. Outputs are finite when |inputs| stay below 1e15.
//  - Integers: activations and weights in [-127, 127], P in [0, 127]; K <= 65536 keeps |acc| <= 2^31 - 1.
//  - No heap, no state, no exceptions, no STL. Pointers need no alignment beyond their type unless stated. No aliasing
//    between inputs and outputs unless stated.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sanderling {

// exp32(x), used by attention, softmin and core/math.h; relative error <= 3e-7 + 1.4e-8 |x| on [-87, 88]:
//   x = min(max(x, -87.0f), 88.0f)
//   t = fma(x, 1.44269504088896341f, 12582912.0f);  n = t - 12582912.0f           1.5 * 2^23: n = rne(x / ln 2)
//   r = fma(x, 1.44269504088896341f, -n)                                          in [-1/2, 1/2]
//   p = 1.326472731e-3f;  p = fma(p, r, 9.671512991e-3f);  p = fma(p, r, 5.550733581e-2f)
//   p = fma(p, r, 2.402224243e-1f);  p = fma(p, r, 6.931470037e-1f);  y = fma(p, r, 1.0f)     2^r, a minimax fit
//   result = float_from_bits(bits of y + (bits of t << 23)) = y * 2^n             t's low bits are n's

// What the next product reads: a kernel that waits for no memory may bring it on to L2 meanwhile. It is never read, nor written.
struct Ahead {
  const void* from = nullptr;
  std::size_t bytes = 0;
};

// gelu: y[i] = GELU(x[i]), tanh form, i < n. In place allowed (y == x).
//   t = min(max(x, -4.8125f), 4.8125f);  v = fma(t, t * 8.635520190e-02f, -1.0f)                   in [-1, 1]
//   p = gelu_polynomial[0]; for k = 1..11: p = fma(p, v, gelu_polynomial[k]);  y = x * fma(t, p, 0.5f)
//   A minimax fit of the sigmoid's odd part, which the ends of v make 1/2 to 5e-10: no exponential, no division.
//   Against float64's tanh form: |error| <= 2e-6 min(1, |x|) + 5e-10 |x|.
constexpr float gelu_polynomial[12] = {-8.760071942e-04f, 2.713438356e-03f,  -3.429959062e-03f, 4.130841233e-03f,
                                       -8.044514805e-03f, 1.436514128e-02f,  -2.163317613e-02f, 3.037772514e-02f,
                                       -4.064525664e-02f, 5.297594890e-02f,  -7.289198786e-02f, 1.468539089e-01f};
using gelu_fn = void(const float* x, float* y, std::size_t n);

// layer_norm: rows of D, eps inside the root. In place allowed.
//   mean = fold(sum x) / float(D);  c = x - mean;  var = fold(sum fma(c, c, lane)) / float(D)
//   rstd = 1.0f / sqrt(var + eps);  y = fma(c * rstd, gain, bias)
//   sqrt and the division round correctly: given var, rstd is off by at most 2^-23 of itself.
using layer_norm_fn = void(const float* x, const float* gain, const float* bias, float* y,
                           std::size_t rows, std::size_t D, float eps);

// quantize_rows: symmetric per-row INT8, rows of K contiguous.
//   amax = max|x|;  if amax < 2^-100: q = 0, scale = 0
//   else scale = amax / 127.0f;  inv = 127.0f / amax;  q = clamp(rne(x * inv), -127, 127)
using quantize_rows_fn = void(const float* x, std::int8_t* q, float* scale, std::size_t rows, std::size_t K);

// linear_f32: y[m][n] = bias[n]; for k ascending: y[m][n] = fma(x[m][k], w[k][n], y[m][n]).
//   x [M][K], w [K][N], bias [N], y [M][N].
using linear_f32_fn = void(const float* x, const float* w, const float* bias, float* y,
                           std::size_t M, std::size_t K, std::size_t N);

// atrous: one level of the causal undecimated (a trous) wavelet transform (Holschneider et al. 1989; Mallat 2009, 5.5).
//   smooth[t] = taps[0] * x[t]; for k = 1..n_taps-1: smooth[t] = fma(taps[k], x[t - k*stride], smooth[t])
//   detail[t] = x[t] - smooth[t],  0 <= t < n.
//   x points at sample 0; the caller provides (n_taps-1)*stride samples before it.
using atrous_fn = void(const float* x, const float* taps, std::size_t n_taps, std::size_t stride, std::size_t n,
                       float* smooth, float* detail);

// moments: sums of the second and the fourth powers of weighted values, in float64; the lanes and their fold are those above.
//   v = double(x[i] * weight[i]);  e = v * v;  sums[0] = fold(sum e);  sums[1] = fold(sum e * e)
using moments_fn = void(const float* x, const float* weight, std::size_t n, double sums[2]);

// dwt: the two decimated filters of one wavelet level (Mallat 1989), for `lanes` signals side by side. Boundaries are the caller's.
//   a[o][c] = lo[0] * x[2o][c]; for j = 1..taps-1: a = fma(lo[j], x[2o - j][c], a);  d alike with hi.  0 <= o < n, 0 <= c < lanes
//   x points at the newest row of output 0; the caller provides taps-1 rows before it and 2(n-1) after it. taps is even.
//   wide: every array holds double, else float. No fixed limit on values: NaN and infinities go where the arithmetic takes them.
struct DwtArgs {
  const void *x, *lo, *hi;
  std::size_t taps, n, lanes;
  void *a, *d;
  bool wide;
};
using dwt_fn = void(const DwtArgs& args);

// idwt: the inverse: two signals up-sampled, filtered and added.
//   x[2i + p][c] = fma(hi[p], d[i][c], lo[p] * a[i][c]); for j = 1..taps/2-1:
//     x = fma(lo[2j + p], a[i - j][c], x);  x = fma(hi[2j + p], d[i - j][c], x)   0 <= i < n, p = 0 and 1
//   a and d point at row 0; the caller provides taps/2 - 1 rows before it. taps and wide as for dwt.
struct IdwtArgs {
  const void *a, *d, *lo, *hi;
  std::size_t taps, n, lanes;
  void* x;
  bool wide;
};
using idwt_fn = void(const IdwtArgs& args);

// qgemm: INT8 GEMM/GEMV with per-row activation scales and per-channel weight scales. K is a multiple of 16.
//   acc[m][n] = sum_k a[m][k] * w[n][k] (exact int32)
//   value = fma(float(acc), a_scale[m] * w_scale[n], bias ? bias[n] : 0.0f)
//   y[m][n] = add ? y[m][n] + value : value
//   a [M][K], w [N][K] packed once by qgemm_pack into qgemm_size(N, K) bytes (64-byte aligned), y [M][N] with row
//   stride ldy >= N. pack reads w [N][K] plain. The packed layout is private to the ISA.
using qgemm_size_fn = std::size_t(std::size_t N, std::size_t K);
using qgemm_pack_fn = void(const std::int8_t* w, std::size_t N, std::size_t K, void* packed);
using qgemm_run_fn = void(const std::int8_t* a, const float* a_scale, const void* packed, const float* w_scale,
                          const float* bias, float* y, std::size_t ldy, std::size_t M, std::size_t N, std::size_t K,
                          bool add);

// attention: INT8 scaled-dot-product attention with per-(token, head) scales, temporal (causal window) or full.
//   T queries, P keys before query 0 (n_keys = P + T), H heads of D (a multiple of 16).
//   window > 0: query t sees keys lo..hi with hi = P + t, lo = max(0, hi - window + 1); window == 0: lo = 0, hi = n_keys - 1.
//   q [T][H][D] + q_scale [T][H]; k, v [n_keys][H][D] + k_scale, v_scale [n_keys][H]; bias [H][window] indexed by the
//   distance hi - j, or nullptr; out [T][H][D].
//   For i = j - lo, n = hi - lo + 1:
//     l_i = fma(float(dot(q, k_j)), (q_scale * inv_sqrt_d) * k_scale_j, bias ? bias[h][hi - j] : 0.0f)
//     m = max l_i;  e_i = exp32(l_i - m);  S = fold(sum e_i)
//     g_i = e_i * v_scale_j;  G = max g_i;  if G < 2^-100: out = 0
//     p_i = rne(g_i * (127.0f / G)) (integer in [0, 127]);  acc_d = sum_i p_i * v_jd
//     out_d = float(acc_d) * ((G / 127.0f) / S)
//   Each token's V scale is folded into P before P is quantised; the unnormalised exp is quantised, never the softmax.
//   work: at least attention_work(window) floats, or attention_full_work(n_keys, D) where window is 0.
struct AttentionArgs {
  const std::int8_t *q, *k, *v;
  const float *q_scale, *k_scale, *v_scale;
  const float* bias;
  float inv_sqrt_d;
  std::size_t T, P, H, D, window;
  float* out;
  float* work;
};
constexpr std::size_t attention_work(std::size_t n_max) { return 2 * ((n_max + 15) / 16 * 16) + 16; }
// Room for a head's keys and values in the order that a tier multiplies them, and for the logits of sixteen queries.
constexpr std::size_t attention_full_work(std::size_t n_keys, std::size_t D) { return (n_keys + 63) / 64 * 64 * (24 + D / 2) + 16; }
using attention_fn = void(const AttentionArgs& args);

// softmin: soft minimum of squared distances to the n rows of a memory, from their dot products with the query.
//   d_i = max(0.0f, fma(-2.0f, dot[i], q_norm + (norm ? norm[i] : 1.0f)));  rows lo <= i < hi are left out
//   m = min d_i;  w_i = d_i <= m + 20.0f / inv_tau ? exp32((m - d_i) * inv_tau) : 0.0f
//   result = fold(sum fma(w_i, d_i, lane)) / fold(sum w_i)
//   Returns -1.0f when every row is left out. The weights that count as 0 are below 2.1e-9 of the largest. inv_tau > 0.
using softmin_fn = float(const float* dot, const float* norm, float q_norm, std::size_t n, float inv_tau,
                         std::size_t lo, std::size_t hi);

// norm_quantize: quantize_rows of layer_norm's rows, which are not kept. work: norm_quantize_rows * D floats.
constexpr std::size_t norm_quantize_rows = 16;  // as many as the virtual lanes
using norm_quantize_fn = void(const float* x, const float* gain, const float* bias, std::int8_t* q, float* scale,
                              std::size_t rows, std::size_t D, float eps, float* work);

// gelu_quantize: x = gelu(x), then quantize_rows of its rows of K.
using gelu_quantize_fn = void(float* x, std::int8_t* q, float* scale, std::size_t rows, std::size_t K, Ahead ahead);

// quantize_heads: for each of T tokens, quantize_rows of its H rows of D, which lie together: from x + t * ldx to q + t * ldq and
// scale + t * lds. So keys and values go from the GEMM's output straight into their history.
using quantize_heads_fn = void(const float* x, std::size_t ldx, std::int8_t* q, std::size_t ldq, float* scale,
                               std::size_t lds, std::size_t T, std::size_t H, std::size_t D);

struct KernelTable {
  const char* isa;
  bool (*supported)();
  gelu_fn* gelu;
  layer_norm_fn* layer_norm;
  quantize_rows_fn* quantize_rows;
  linear_f32_fn* linear_f32;
  atrous_fn* atrous;
  moments_fn* moments;
  dwt_fn* dwt;
  idwt_fn* idwt;
  qgemm_size_fn* qgemm_size;
  qgemm_pack_fn* qgemm_pack;
  qgemm_run_fn* qgemm_run;
  attention_fn* attention;
  softmin_fn* softmin;
  norm_quantize_fn* norm_quantize;
  gelu_quantize_fn* gelu_quantize;
  quantize_heads_fn* quantize_heads;
};

// The tables compiled into this binary, best first; the last is always "reference".
const KernelTable* const* kernel_tables(std::size_t* count);

// The table named `isa`, or the best supported one for nullptr or "". Returns nullptr when the name is unknown or the
// processor lacks it; `*why` then tells which ("unknown" or "unsupported").
const KernelTable* select_kernels(const char* isa, const char** why);

}  // namespace sanderling
