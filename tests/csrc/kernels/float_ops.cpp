// Bit equality of the float ops with reference, on sizes named by reason and adversarial values.
#include "data.h"
#include "tests.h"

using namespace data;
using sanderling::KernelTable;

namespace {

constexpr std::size_t lengths[] = {
    1, 2, 3, 7,       // below the SIMD width
    8,                // a patch
    15, 16, 17,       // around the 16 virtual lanes
    24, 31, 32, 33,   // an odd half, head_dim, tail of one
    63, 64, 65,       // raw history, smallest d_model, tail of one
    192, 272, 512,    // pruned width, scorer input (d 256 + 16), base d_model
};

void test_gelu(const KernelTable& table, const KernelTable& reference) {
  Random random(1);
  for (const Pattern& pattern : patterns)
    for (std::size_t n : lengths) {
      Input<float> x(n);
      pattern.fill(random, x.get(), n);
      Output<float> want(n), got(n), in_place(n);
      reference.gelu(x.get(), want.get(), n);
      table.gelu(x.get(), got.get(), n);
      check_same(want, got, "gelu", pattern.name, n, 0, 0);
      std::memcpy(in_place.get(), x.get(), n * sizeof(float));
      table.gelu(in_place.get(), in_place.get(), n);
      check_same(want, in_place, "gelu in place", pattern.name, n, 0, 0);
    }
}

void test_layer_norm(const KernelTable& table, const KernelTable& reference) {
  Random random(2);
  for (const Pattern& pattern : patterns)
    for (std::size_t D : lengths)
      for (std::size_t rows : {1, 3}) {
        Input<float> x(rows * D), gain(D), bias(D);
        pattern.fill(random, x.get(), rows * D);
        patterns[0].fill(random, gain.get(), D);
        patterns[0].fill(random, bias.get(), D);
        Output<float> want(rows * D), got(rows * D), in_place(rows * D);
        reference.layer_norm(x.get(), gain.get(), bias.get(), want.get(), rows, D, 1e-5f);
        table.layer_norm(x.get(), gain.get(), bias.get(), got.get(), rows, D, 1e-5f);
        check_same(want, got, "layer_norm", pattern.name, rows, D, 0);
        std::memcpy(in_place.get(), x.get(), rows * D * sizeof(float));
        table.layer_norm(in_place.get(), gain.get(), bias.get(), in_place.get(), rows, D, 1e-5f);
        check_same(want, in_place, "layer_norm in place", pattern.name, rows, D, 0);
      }
}

void test_quantize_rows(const KernelTable& table, const KernelTable& reference) {
  Random random(3);
  for (const Pattern& pattern : patterns)
    for (std::size_t K : lengths)
      for (std::size_t rows : {1, 4}) {
        Input<float> x(rows * K);
        pattern.fill(random, x.get(), rows * K);
        Output<std::int8_t> want(rows * K), got(rows * K);
        Output<float> want_scale(rows), got_scale(rows);
        reference.quantize_rows(x.get(), want.get(), want_scale.get(), rows, K);
        table.quantize_rows(x.get(), got.get(), got_scale.get(), rows, K);
        check_same(want, got, "quantize_rows", pattern.name, rows, K, 0);
        check_same(want_scale, got_scale, "quantize_rows scale", pattern.name, rows, K, 0);
        bool grid = true;
        for (std::size_t i = 0; i < rows * K; ++i) grid = grid && got.get()[i] != -128;
        CHECK(grid, "%s: -128 is off the grid", pattern.name);
      }
}

void test_norm_quantize(const KernelTable& table, const KernelTable& reference) {
  Random random(31);
  for (const Pattern& pattern : patterns)
    for (std::size_t D : lengths)
      for (std::size_t rows : {1, 3, 4, 17}) {  // one, below and at the block of rows, above the work's
        Input<float> x(rows * D), gain(D), bias(D);
        pattern.fill(random, x.get(), rows * D);
        patterns[0].fill(random, gain.get(), D);
        patterns[0].fill(random, bias.get(), D);
        Output<std::int8_t> want(rows * D), got(rows * D);
        Output<float> want_scale(rows), got_scale(rows), work(sanderling::norm_quantize_rows * D);
        reference.norm_quantize(x.get(), gain.get(), bias.get(), want.get(), want_scale.get(), rows, D, 1e-5f, work.get());
        table.norm_quantize(x.get(), gain.get(), bias.get(), got.get(), got_scale.get(), rows, D, 1e-5f, work.get());
        check_same(want, got, "norm_quantize", pattern.name, rows, D, 0);
        check_same(want_scale, got_scale, "norm_quantize scale", pattern.name, rows, D, 0);
        CHECK(work.intact(), "norm_quantize wrote outside its work: %zu rows of %zu", rows, D);
      }
}

void test_gelu_quantize(const KernelTable& table, const KernelTable& reference) {
  Random random(32);
  for (const Pattern& pattern : patterns)
    for (std::size_t K : lengths)
      for (std::size_t rows : {1, 4, 17}) {
        Output<float> x(rows * K), again(rows * K), want_scale(rows), got_scale(rows);
        pattern.fill(random, x.get(), rows * K);
        std::memcpy(again.get(), x.get(), rows * K * sizeof(float));
        Output<std::int8_t> want(rows * K), got(rows * K);
        reference.gelu_quantize(x.get(), want.get(), want_scale.get(), rows, K, {});
        table.gelu_quantize(again.get(), got.get(), got_scale.get(), rows, K, {x.get(), 200});
        check_same(want, got, "gelu_quantize", pattern.name, rows, K, 0);
        check_same(want_scale, got_scale, "gelu_quantize scale", pattern.name, rows, K, 0);
        check_same(x, again, "gelu_quantize in place", pattern.name, rows, K, 0);
      }
}

// Rows of the source and of the target lie further apart than they are long: the gaps must stay.
void test_quantize_heads(const KernelTable& table, const KernelTable& reference) {
  Random random(33);
  for (const Pattern& pattern : patterns)
    for (std::size_t D : {16, 32, 48})
      for (std::size_t H : {1, 2, 5, 17})  // 17: one token's heads beyond a batch of divisions
        for (std::size_t T : {1, 3, 16, 33}) {
          const std::size_t ldx = 2 * H * D + 5, ldq = H * D + 3, lds = H + 2;
          Input<float> x(T * ldx);
          pattern.fill(random, x.get(), T * ldx);
          Output<std::int8_t> want(T * ldq), got(T * ldq);
          Output<float> want_scale(T * lds), got_scale(T * lds);
          reference.quantize_heads(x.get(), ldx, want.get(), ldq, want_scale.get(), lds, T, H, D);
          table.quantize_heads(x.get(), ldx, got.get(), ldq, got_scale.get(), lds, T, H, D);
          check_same(want, got, "quantize_heads", pattern.name, T, H, D);
          check_same(want_scale, got_scale, "quantize_heads scale", pattern.name, T, H, D);
        }
}

void test_linear(const KernelTable& table, const KernelTable& reference) {
  Random random(4);
  const std::size_t shapes[][2] = {
      {64, 192}, {64, 512},                   // embed
      {192, 17}, {512, 17},                   // head: reconstruction, next patch, log b
      {1, 1}, {3, 7}, {5, 15}, {8, 16},       // below one block, exactly one
      {16, 33}, {16, 47}, {7, 64}, {2, 129},  // tails and the widest block
  };
  for (const auto& shape : shapes)
    for (std::size_t M : {1, 2, 3, 4, 5, 8, 17})
      for (std::size_t p : {0, 1, 8, 12}) {
        const std::size_t K = shape[0], N = shape[1];
        Input<float> x(M * K), w(K * N), bias(N);
        patterns[p].fill(random, x.get(), M * K);
        patterns[0].fill(random, w.get(), K * N);
        patterns[0].fill(random, bias.get(), N);
        Output<float> want(M * N), got(M * N);
        reference.linear_f32(x.get(), w.get(), bias.get(), want.get(), M, K, N);
        table.linear_f32(x.get(), w.get(), bias.get(), got.get(), M, K, N);
        check_same(want, got, "linear_f32", patterns[p].name, M, K, N);
      }
}

void test_atrous(const KernelTable& table, const KernelTable& reference) {
  Random random(5);
  const float haar[] = {0.5f, 0.5f};
  const float spline[] = {0.125f, 0.375f, 0.375f, 0.125f};
  const float single[] = {1.0f};
  const struct {
    const float* taps;
    std::size_t n_taps;
  } filters[] = {{haar, 2}, {spline, 4}, {single, 1}};
  for (const Pattern& pattern : patterns)
    for (const auto& filter : filters)
      for (std::size_t stride : {1, 2, 4, 8, 16})
        for (std::size_t n : lengths) {
          const std::size_t before = (filter.n_taps - 1) * stride;
          Input<float> x(before + n), taps(filter.n_taps);
          pattern.fill(random, x.get(), before + n);
          std::memcpy(taps.get(), filter.taps, filter.n_taps * sizeof(float));
          Output<float> smooth(n), detail(n), want_smooth(n), want_detail(n);
          reference.atrous(x.get() + before, taps.get(), filter.n_taps, stride, n, want_smooth.get(), want_detail.get());
          table.atrous(x.get() + before, taps.get(), filter.n_taps, stride, n, smooth.get(), detail.get());
          check_same(want_smooth, smooth, "atrous smooth", pattern.name, filter.n_taps, stride, n);
          check_same(want_detail, detail, "atrous detail", pattern.name, filter.n_taps, stride, n);
        }
}

void test_softmin(const KernelTable& table, const KernelTable& reference) {
  Random random(6);
  for (const Pattern& pattern : patterns)
    for (std::size_t n : lengths) {
      const std::size_t ranges[][2] = {
          {0, 0},             // nothing left out
          {n / 2, n / 2},     // an empty range inside
          {0, 1}, {n - 1, n}, // the first, the last
          {n / 3, n / 2 + 1}, // the leave-one-block-out of calibration
          {3, 19},            // across a lane boundary
          {0, n}, {0, n + 5}, // all
          {n, n + 16},        // beyond the end
          {5, 2},             // lo > hi leaves nothing out
      };
      for (const auto& range : ranges)
        for (bool with_norm : {false, true}) {
          Input<float> dot(n), norm(n);
          pattern.fill(random, dot.get(), n);
          pattern.fill(random, norm.get(), n);
          const float inv_tau = random.bits() & 1 ? 10.0f : 0.25f;
          Output<float> want(1), got(1);
          const float* norms = with_norm ? norm.get() : nullptr;
          *want.get() = reference.softmin(dot.get(), norms, 1.0f, n, inv_tau, range[0], range[1]);
          *got.get() = table.softmin(dot.get(), norms, 1.0f, n, inv_tau, range[0], range[1]);
          check_same(want, got, "softmin", pattern.name, n, range[0], range[1]);
          const bool all = range[0] == 0 && range[1] >= n && n > 0;
          CHECK((*got.get() == -1.0f) == all, "softmin of %zu rows without [%zu, %zu) is %g", n, range[0], range[1],
                static_cast<double>(*got.get()));
        }
    }
  CHECK(table.softmin(nullptr, nullptr, 1.0f, 0, 1.0f, 0, 0) == -1.0f, "an empty memory");
}

}  // namespace

void test_float_ops(const KernelTable& table, const KernelTable& reference) {
  test_gelu(table, reference);
  test_layer_norm(table, reference);
  test_quantize_rows(table, reference);
  test_norm_quantize(table, reference);
  test_gelu_quantize(table, reference);
  test_quantize_heads(table, reference);
  test_linear(table, reference);
  test_atrous(table, reference);
  test_softmin(table, reference);
}
