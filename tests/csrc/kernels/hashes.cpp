// One hash an op over many adversarial cases, the same on every ISA and every machine. The constants are what `reference` gave
// on x86-64; a change of one means a change of arithmetic.
#include "data.h"
#include "tests.h"

using namespace data;
using sanderling::KernelTable;

namespace {

std::uint64_t hash_quantize_rows(const KernelTable& table) {
  // 1,048,586 rows of 32, the shape of Q, K and V; every pattern in turn.
  constexpr std::size_t K = 32, rows = 13;
  static_assert(rows == n_patterns, "one row a pattern in each batch");
  Random random(31);
  Hash hash;
  Input<float> x(rows * K);
  Output<std::int8_t> q(rows * K);
  Output<float> scale(rows);
  for (std::size_t done = 0; done < 1048576; done += rows) {
    for (std::size_t row = 0; row < rows; ++row) patterns[row].fill(random, x.get() + row * K, K);
    table.quantize_rows(x.get(), q.get(), scale.get(), rows, K);
    hash.add(q.get(), rows * K);
    hash.add(scale.get(), rows);
  }
  return hash.value();
}

std::uint64_t hash_gelu(const KernelTable& table) {
  Random random(32);
  Hash hash;
  Input<float> x(48);
  Output<float> y(48);
  for (int row = 0; row < 13000; ++row) {
    patterns[static_cast<std::size_t>(row) % n_patterns].fill(random, x.get(), 48);
    table.gelu(x.get(), y.get(), 48);
    hash.add(y.get(), 48);
  }
  return hash.value();
}

std::uint64_t hash_layer_norm(const KernelTable& table) {
  Random random(33);
  Hash hash;
  constexpr std::size_t D = 72;
  Input<float> x(D), gain(D), bias(D);
  Output<float> y(D);
  for (int row = 0; row < 13000; ++row) {
    patterns[static_cast<std::size_t>(row) % n_patterns].fill(random, x.get(), D);
    patterns[0].fill(random, gain.get(), D);
    patterns[0].fill(random, bias.get(), D);
    table.layer_norm(x.get(), gain.get(), bias.get(), y.get(), 1, D, 1e-5f);
    hash.add(y.get(), D);
  }
  return hash.value();
}

std::uint64_t hash_linear_f32(const KernelTable& table) {
  Random random(34);
  Hash hash;
  constexpr std::size_t M = 5, K = 16, N = 17;
  Input<float> x(M * K), w(K * N), bias(N);
  Output<float> y(M * N);
  for (int repeat = 0; repeat < 2600; ++repeat) {
    patterns[static_cast<std::size_t>(repeat) % n_patterns].fill(random, x.get(), M * K);
    patterns[0].fill(random, w.get(), K * N);
    patterns[0].fill(random, bias.get(), N);
    table.linear_f32(x.get(), w.get(), bias.get(), y.get(), M, K, N);
    hash.add(y.get(), M * N);
  }
  return hash.value();
}

std::uint64_t hash_atrous(const KernelTable& table) {
  Random random(35);
  Hash hash;
  constexpr std::size_t n = 24, before = 12;
  const float taps[] = {0.125f, 0.375f, 0.375f, 0.125f};
  Input<float> x(before + n);
  Output<float> smooth(n), detail(n);
  for (int repeat = 0; repeat < 13000; ++repeat) {
    patterns[static_cast<std::size_t>(repeat) % n_patterns].fill(random, x.get(), before + n);
    table.atrous(x.get() + before, taps, 4, 4, n, smooth.get(), detail.get());
    hash.add(smooth.get(), n);
    hash.add(detail.get(), n);
  }
  return hash.value();
}

std::uint64_t hash_qgemm(const KernelTable& table) {
  Random random(36);
  Hash hash;
  constexpr std::size_t M = 5, N = 17, K = 64;
  Input<std::int8_t> a(M * K), w(N * K);
  Input<float> a_scale(M), w_scale(N), bias(N);
  Output<float> y(M * N);
  Packed packed(table.qgemm_size(N, K));
  for (int repeat = 0; repeat < 2000; ++repeat) {
    fill(random, a.get(), M * K, repeat % 2 ? Bytes::saturated : Bytes::uniform);
    fill(random, w.get(), N * K, repeat % 3 ? Bytes::uniform : Bytes::saturated);
    patterns[static_cast<std::size_t>(repeat) % n_patterns].fill(random, a_scale.get(), M);
    patterns[0].fill(random, w_scale.get(), N);
    patterns[0].fill(random, bias.get(), N);
    table.qgemm_pack(w.get(), N, K, packed.get());
    table.qgemm_run(a.get(), a_scale.get(), packed.get(), w_scale.get(), bias.get(), y.get(), N, M, N, K,
                    false);
    hash.add(y.get(), M * N);
  }
  return hash.value();
}

std::uint64_t hash_attention(const KernelTable& table) {
  Random random(37);
  Hash hash;
  constexpr std::size_t H = 2, D = 32, W = 16, P = 15, keys = P + 1;
  Input<std::int8_t> q(H * D), k(keys * H * D), v(keys * H * D);
  Input<float> q_scale(H), k_scale(keys * H), v_scale(keys * H), bias(H * W);
  Output<float> out(H * D), work(sanderling::attention_work(W));
  for (int repeat = 0; repeat < 10400; ++repeat) {
    fill(random, q.get(), q.size(), Bytes::uniform);
    fill(random, k.get(), k.size(), Bytes::uniform);
    fill(random, v.get(), v.size(), Bytes::uniform);
    for (Input<float>* scale : {&q_scale, &k_scale, &v_scale}) {
      patterns[static_cast<std::size_t>(repeat) % n_patterns].fill(random, scale->get(), scale->size());
      for (std::size_t i = 0; i < scale->size(); ++i) scale->get()[i] = __builtin_fabsf(scale->get()[i]) * 0.01f;
    }
    patterns[0].fill(random, bias.get(), bias.size());
    table.attention({q.get(), k.get(), v.get(), q_scale.get(), k_scale.get(), v_scale.get(), bias.get(), 0.1767767f, 1,
                     P, H, D, W, out.get(), work.get()});
    hash.add(out.get(), H * D);
  }
  return hash.value();
}

std::uint64_t hash_softmin(const KernelTable& table) {
  Random random(38);
  Hash hash;
  constexpr std::size_t n = 72;
  Input<float> dot(n), norm(n);
  for (int repeat = 0; repeat < 13000; ++repeat) {
    patterns[static_cast<std::size_t>(repeat) % n_patterns].fill(random, dot.get(), n);
    patterns[0].fill(random, norm.get(), n);
    const std::size_t lo = random.bits() % n, hi = random.bits() % n;
    const float result = table.softmin(dot.get(), repeat % 2 ? norm.get() : nullptr, 1.0f, n, 5.0f, lo, hi);
    hash.add(&result, 1);
  }
  return hash.value();
}

constexpr struct {
  const char* op;
  std::uint64_t (*run)(const KernelTable& table);
  std::uint64_t expected;
} cases[] = {
    {"quantize_rows", hash_quantize_rows, 0xe2ad9e036225b45b},
    {"gelu", hash_gelu, 0x187e2d30638ea0d7},
    {"layer_norm", hash_layer_norm, 0x9d81187bb0daac22},
    {"linear_f32", hash_linear_f32, 0xf9ea7b81f20c2d47},
    {"atrous", hash_atrous, 0x01ae3d89bf4b100f},
    {"qgemm", hash_qgemm, 0xc40534b74eb54d61},
    {"attention", hash_attention, 0x6264fed6d2afc9c8},
    {"softmin", hash_softmin, 0x75eb4cd714da49c6},
};

}  // namespace

void test_hashes(const KernelTable& table, bool print) {
  for (const auto& c : cases) {
    const std::uint64_t found = c.run(table);
    if (print) std::printf("hash %s %016llx\n", c.op, static_cast<unsigned long long>(found));
    CHECK(found == c.expected, "%s on %s: expected hash %016llx, found %016llx", c.op, table.isa,
          static_cast<unsigned long long>(c.expected), static_cast<unsigned long long>(found));
  }
}
