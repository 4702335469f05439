// Bit equality of qgemm and attention with reference.
#include <thread>
#include <vector>

#include "data.h"
#include "tests.h"

using namespace data;
using sanderling::KernelTable;

namespace {

void check_qgemm(const KernelTable& table, const KernelTable& reference, Random& random, std::size_t M, std::size_t N,
                 std::size_t K, Bytes kind, bool with_bias, bool add) {
  // Rows wider than N: the gap between rows must stay untouched.
  const std::size_t ldy = N + 3;
  Input<std::int8_t> a(M * K), w(N * K);
  Input<float> a_scale(M), w_scale(N), bias(N);
  fill(random, a.get(), M * K, kind);
  fill(random, w.get(), N * K, kind);
  patterns[0].fill(random, a_scale.get(), M);
  patterns[0].fill(random, w_scale.get(), N);
  patterns[0].fill(random, bias.get(), N);
  const float* b = with_bias ? bias.get() : nullptr;
  Output<float> want((M - 1) * ldy + N), got((M - 1) * ldy + N);
  for (std::size_t m = 0; m < M && add; ++m) {
    patterns[0].fill(random, want.get() + m * ldy, N);
    std::memcpy(got.get() + m * ldy, want.get() + m * ldy, N * sizeof(float));
  }
  const KernelTable* tables[] = {&reference, &table};
  Output<float>* outputs[] = {&want, &got};
  for (int i = 0; i < 2; ++i) {
    Packed packed(tables[i]->qgemm_size(N, K));
    tables[i]->qgemm_pack(w.get(), N, K, packed.get());
    tables[i]->qgemm_run(a.get(), a_scale.get(), packed.get(), w_scale.get(), b, outputs[i]->get(), ldy, M, N, K, add);
  }
  check_same(want, got, "qgemm", kind == Bytes::uniform ? "uniform" : "saturated", M, N, K);
}

void test_qgemm(const KernelTable& table, const KernelTable& reference) {
  Random random(7);
  // One step; head_dim; one, two and several steps of 64 with and without the tails 16, 32 and 48.
  for (std::size_t K : {16, 32, 48, 64, 80, 128, 272, 368})
    for (std::size_t N : {1, 7, 8, 15, 16, 17, 24, 33, 48, 192})  // logit, tails, pruned and full widths
      // Stream, every remainder of the row blocks, below, at and above one and two tiles of 16 rows, batch.
      for (std::size_t M : {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64})
        check_qgemm(table, reference, random, M, N, K, M % 2 ? Bytes::saturated : Bytes::uniform, N % 2 == 0, (M + N + K / 16) % 3 == 0);
  check_qgemm(table, reference, random, 1, 512, 512, Bytes::saturated, true, true);
  check_qgemm(table, reference, random, 4, 512, 1024, Bytes::uniform, true, false);
  check_qgemm(table, reference, random, 130, 33, 2064, Bytes::saturated, true, false);  // more rows and K than any panel holds
  // The largest sum that kernels.h allows: 65536 * 127 * 127 < 2^31.
  const std::size_t K = 65536;
  Input<std::int8_t> a(K), w(K);
  std::memset(a.get(), 127, K);
  for (const std::int8_t sign : {127, -127}) {
    std::memset(w.get(), sign, K);
    Packed packed(table.qgemm_size(1, K));
    table.qgemm_pack(w.get(), 1, K, packed.get());
    const float one = 1.0f;
    Output<float> y(1);
    table.qgemm_run(a.get(), &one, packed.get(), &one, nullptr, y.get(), 1, 1, 1, K, false);
    CHECK(*y.get() == static_cast<float>(65536 * 127 * sign), "the bound on K: %.9g", static_cast<double>(*y.get()));
    CHECK(y.intact(), "the bound on K");
  }
}

bool same_product(const KernelTable& table, const KernelTable& reference, Random& random, std::size_t M, std::size_t N, std::size_t K) {
  std::vector<std::int8_t> a(M * K), w(N * K);
  fill(random, a.data(), a.size(), Bytes::uniform);
  fill(random, w.data(), w.size(), Bytes::uniform);
  const std::vector<float> a_scale(M, 0.5f), w_scale(N, 0.25f);
  std::vector<float> y[2];
  const KernelTable* tables[] = {&reference, &table};
  for (int i = 0; i < 2; ++i) {
    Packed packed(tables[i]->qgemm_size(N, K));
    tables[i]->qgemm_pack(w.data(), N, K, packed.get());
    y[i].resize(M * N);
    tables[i]->qgemm_run(a.data(), a_scale.data(), packed.get(), w_scale.data(), nullptr, y[i].data(), N, M, N, K, false);
  }
  return std::memcmp(y[0].data(), y[1].data(), M * N * sizeof(float)) == 0;
}

// Registers that a kernel configures are a thread's own: threads with products of several shapes at once.
void test_qgemm_in_threads(const KernelTable& table, const KernelTable& reference) {
  constexpr std::size_t n_threads = 4, repeats = 40;
  std::size_t same[n_threads] = {};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < n_threads; ++i)
    threads.emplace_back([&table, &reference, i, mine = &same[i]] {
      Random random(90 + i);
      for (std::size_t n = 0; n < repeats; ++n)
        *mine += same_product(table, reference, random, 5 + 13 * i, 17 + 16 * (n % 3), 64 + 16 * i);
    });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < n_threads; ++i)
    CHECK(same[i] == repeats, "thread %zu: %zu of %zu products equal", i, same[i], repeats);
}

struct Shape {
  std::size_t T, P, H, D, window;
};

constexpr Shape shapes[] = {
    {1, 0, 1, 32, 16},                      // the first token
    {1, 15, 2, 32, 16}, {1, 40, 4, 32, 16}, // streaming: the window just full, long past
    {20, 0, 2, 32, 16}, {9, 7, 3, 32, 16},  // batch: growing, then sliding windows
    {5, 30, 1, 16, 16}, {5, 30, 2, 48, 16}, {4, 20, 2, 64, 16}, {3, 0, 1, 80, 16},  // every kind of D
    {17, 15, 2, 32, 16}, {35, 20, 3, 32, 16}, {18, 3, 1, 32, 16},  // sixteen queries at a time, tails, a short start
    {6, 10, 2, 32, 1}, {6, 10, 2, 32, 3}, {12, 30, 1, 32, 17}, {40, 0, 1, 32, 33},  // windows off the lanes
    {1, 0, 2, 32, 0}, {8, 0, 2, 32, 0}, {17, 0, 2, 32, 0}, {38, 0, 3, 32, 0}, {5, 3, 2, 16, 0},  // full: the graph decoder
    {4, 11, 1, 32, 0}, {4, 12, 1, 32, 0}, {3, 20, 2, 32, 0}, {64, 0, 2, 32, 0}, {130, 0, 2, 32, 0},  // texts: packed from 16 keys, 4 queries
    {33, 0, 2, 64, 0}, {81, 15, 1, 64, 0}, {18, 0, 1, 128, 0}, {20, 0, 2, 48, 0}, {512, 0, 1, 32, 0},
};

std::size_t work_of(const Shape& s) {
  return s.window ? sanderling::attention_work(s.window) : sanderling::attention_full_work(s.P + s.T, s.D);
}

void check_attention(const KernelTable& table, const KernelTable& reference, Random& random, const Shape& s, Bytes kind,
                     const Pattern& scales, bool with_bias) {
  const std::size_t keys = s.P + s.T, n_max = s.window ? s.window : keys;
  Input<std::int8_t> q(s.T * s.H * s.D), k(keys * s.H * s.D), v(keys * s.H * s.D);
  Input<float> q_scale(s.T * s.H), k_scale(keys * s.H), v_scale(keys * s.H), bias(s.H * n_max);
  fill(random, q.get(), q.size(), kind);
  fill(random, k.get(), k.size(), kind);
  fill(random, v.get(), v.size(), kind);
  for (Input<float>* scale : {&q_scale, &k_scale, &v_scale}) {
    scales.fill(random, scale->get(), scale->size());
    for (std::size_t i = 0; i < scale->size(); ++i) scale->get()[i] = __builtin_fabsf(scale->get()[i]) * 0.01f;
  }
  patterns[0].fill(random, bias.get(), bias.size());
  Output<float> want(s.T * s.H * s.D), got(s.T * s.H * s.D), work(work_of(s));
  sanderling::AttentionArgs args{q.get(), k.get(), v.get(), q_scale.get(), k_scale.get(), v_scale.get(),
                                 with_bias && s.window ? bias.get() : nullptr, 0.1767767f, s.T, s.P, s.H, s.D, s.window,
                                 want.get(), work.get()};
  reference.attention(args);
  args.out = got.get();
  table.attention(args);
  check_same(want, got, "attention", scales.name, s.T, s.P, s.window);
  CHECK(work.intact(), "attention wrote outside its work: T %zu P %zu window %zu", s.T, s.P, s.window);
}

void test_attention(const KernelTable& table, const KernelTable& reference) {
  Random random(8);
  for (const Shape& shape : shapes)
    for (const Pattern& scales : patterns)
      for (Bytes kind : {Bytes::uniform, Bytes::saturated})
        check_attention(table, reference, random, shape, kind, scales, kind == Bytes::uniform);
}

// One token at a time, against the whole recording at once: a stream gives the batch's bits.
void test_attention_stream(const KernelTable& table) {
  Random random(9);
  const Shape s{30, 0, 2, 32, 16};
  const std::size_t row = s.H * s.D;
  Input<std::int8_t> q(s.T * row), k(s.T * row), v(s.T * row);
  Input<float> scale(s.T * s.H), bias(s.H * s.window);
  fill(random, q.get(), q.size(), Bytes::uniform);
  fill(random, k.get(), k.size(), Bytes::uniform);
  fill(random, v.get(), v.size(), Bytes::uniform);
  for (std::size_t i = 0; i < scale.size(); ++i) scale.get()[i] = 0.01f + 0.001f * static_cast<float>(i % 7);
  patterns[0].fill(random, bias.get(), bias.size());
  Output<float> batch(s.T * row), stream(s.T * row), work(work_of(s));
  sanderling::AttentionArgs args{q.get(), k.get(), v.get(), scale.get(), scale.get(), scale.get(), bias.get(), 0.1767767f,
                                 s.T, 0, s.H, s.D, s.window, batch.get(), work.get()};
  table.attention(args);
  for (std::size_t t = 0; t < s.T; ++t) {
    args.q = q.get() + t * row;
    args.q_scale = scale.get() + t * s.H;
    args.T = 1;
    args.P = t;
    args.out = stream.get() + t * row;
    table.attention(args);
  }
  check_same(batch, stream, "attention stream", "uniform", s.T, s.H, s.D);
}

}  // namespace

void test_int8_ops(const KernelTable& table, const KernelTable& reference) {
  test_qgemm(table, reference);
  test_qgemm_in_threads(table, reference);
  test_attention(table, reference);
  test_attention_stream(table);
}
