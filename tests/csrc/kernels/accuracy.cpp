// Every op against float64 (libm's double functions) within the bound stated here.
#include <cmath>

#include "data.h"
#include "kernels/lanes/scalar.h"
#include "tests.h"

using namespace data;
using sanderling::KernelTable;

namespace {

constexpr double ulp = 0x1p-24;  // one rounding, relative

void test_exp() {
  double worst = 0.0;
  for (std::int32_t i = -87 * 4096; i <= 88 * 4096; i += 3) {
    const float x = static_cast<float>(i) / 4096.0f;
    const double want = std::exp(static_cast<double>(x));
    worst = std::fmax(worst, std::fabs(exp32(x) - want) / want / (3e-7 + 1.4e-8 * std::fabs(x)));
  }
  CHECK(worst <= 1.0, "exp32: relative error %g of the bound", worst);
  CHECK(exp32(0.0f) == 1.0f && exp32(-0.0f) == 1.0f, "exp32(0)");
  CHECK(exp32(-1e12f) == exp32(-87.0f) && exp32(1e12f) == exp32(88.0f), "exp32 saturates");
}

void test_gelu(const KernelTable& table) {
  Random random(21);
  Input<float> x(4096);
  Output<float> y(4096);
  for (float range : {0.01f, 1.0f, 6.0f, 20.0f, 1e4f}) {
    for (std::size_t i = 0; i < x.size(); ++i) x.get()[i] = random.uniform(range);
    table.gelu(x.get(), y.get(), x.size());
    double worst = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double v = x.get()[i];
      const double inner = std::sqrt(2.0 / 3.14159265358979323846) * (v + 0.044715 * v * v * v);
      const double want = v / (1.0 + std::exp(-2.0 * inner));
      const double bound = 2e-6 * std::fmin(1.0, std::fabs(v)) + 5e-10 * std::fabs(v) + 1e-30;
      worst = std::fmax(worst, std::fabs(y.get()[i] - want) / bound);
    }
    CHECK(worst <= 1.0, "gelu in +-%g: error %g of the bound", static_cast<double>(range), worst);
  }
}

void test_layer_norm(const KernelTable& table) {
  Random random(22);
  for (std::size_t D : {64, 192, 512}) {
    Input<float> x(D), gain(D), bias(D);
    Output<float> y(D);
    double worst = 0.0;
    for (int repeat = 0; repeat < 50; ++repeat) {
      patterns[0].fill(random, x.get(), D);
      patterns[0].fill(random, gain.get(), D);
      patterns[0].fill(random, bias.get(), D);
      table.layer_norm(x.get(), gain.get(), bias.get(), y.get(), 1, D, 1e-5f);
      double mean = 0.0, var = 0.0;
      for (std::size_t i = 0; i < D; ++i) mean += x.get()[i];
      mean /= static_cast<double>(D);
      for (std::size_t i = 0; i < D; ++i) var += (x.get()[i] - mean) * (x.get()[i] - mean);
      const double rstd = 1.0 / std::sqrt(var / static_cast<double>(D) + 1e-5f);
      for (std::size_t i = 0; i < D; ++i) {
        const double want = (x.get()[i] - mean) * rstd * gain.get()[i] + bias.get()[i];
        worst = std::fmax(worst, std::fabs(y.get()[i] - want));
      }
    }
    // A row of +-a has the mean 0 and the variance a a, both exact here: what is left is 1 / sqrt.
    for (std::size_t i = 0; i < D; ++i) {
      x.get()[i] = i % 2 ? -0.375f : 0.375f;
      gain.get()[i] = 1.0f;
      bias.get()[i] = 0.0f;
    }
    for (const float eps : {1e-5f, 0.001f, 0.1f, 3.0f}) {
      table.layer_norm(x.get(), gain.get(), bias.get(), y.get(), 1, D, eps);
      const double want = 0.375 / std::sqrt(static_cast<double>(0.140625f + eps));
      CHECK(std::fabs(y.get()[0] - want) <= want * (0x1p-23 + ulp), "1 / sqrt: %g, float64 %g", static_cast<double>(y.get()[0]), want);
    }
    CHECK(worst <= 5e-6, "layer_norm of %zu: error %g", D, worst);
  }
}

void test_quantizer(const KernelTable& table) {
  Random random(23);
  const std::size_t K = 64;
  Input<float> x(K);
  Output<std::int8_t> q(K);
  Output<float> scale(1);
  for (int repeat = 0; repeat < 500; ++repeat) {
    patterns[repeat % 4].fill(random, x.get(), K);
    table.quantize_rows(x.get(), q.get(), scale.get(), 1, K);
    const double s = *scale.get();
    double worst = 0.0;
    int top = 0;
    for (std::size_t i = 0; i < K; ++i) {
      worst = std::fmax(worst, std::fabs(x.get()[i] - s * q.get()[i]) / s);
      top = std::abs(q.get()[i]) > top ? std::abs(q.get()[i]) : top;
    }
    CHECK(worst <= 0.5 + 127 * 4 * ulp, "quantize_rows, %s: %g steps", patterns[repeat % 4].name, worst);
    CHECK(top == 127, "quantize_rows, %s: the largest value must be 127, is %d", patterns[repeat % 4].name, top);
  }
}

void test_linear(const KernelTable& table) {
  Random random(24);
  const std::size_t M = 5, K = 64, N = 17;
  Input<float> x(M * K), w(K * N), bias(N);
  Output<float> y(M * N);
  patterns[1].fill(random, x.get(), M * K);
  patterns[0].fill(random, w.get(), K * N);
  patterns[0].fill(random, bias.get(), N);
  table.linear_f32(x.get(), w.get(), bias.get(), y.get(), M, K, N);
  for (std::size_t m = 0; m < M; ++m)
    for (std::size_t n = 0; n < N; ++n) {
      double want = bias.get()[n], magnitude = std::fabs(want);
      for (std::size_t k = 0; k < K; ++k) {
        const double term = static_cast<double>(x.get()[m * K + k]) * w.get()[k * N + n];
        want += term;
        magnitude += std::fabs(term);
      }
      const double error = std::fabs(y.get()[m * N + n] - want);
      CHECK(error <= static_cast<double>(K) * ulp * magnitude, "linear_f32 [%zu][%zu]: error %g", m, n, error);
    }
}

// Five levels: the details and the last smooth add up to x, and every level is the filter's double value.
void test_atrous(const KernelTable& table) {
  Random random(25);
  constexpr std::size_t n = 100, levels = 5, before = 31;
  const float taps[] = {0.5f, 0.5f};
  for (const Pattern& pattern : {patterns[0], patterns[1], patterns[8], patterns[11]}) {
    Input<float> x(n);
    pattern.fill(random, x.get(), n);
    std::vector<float> level(before + n, x.get()[0]), next(before + n), detail(n);
    std::memcpy(level.data() + before, x.get(), n * sizeof(float));
    std::vector<double> sum(n, 0.0);
    double largest = 0.0;
    for (std::size_t i = 0; i < n; ++i) largest = std::fmax(largest, std::fabs(static_cast<double>(x.get()[i])));
    for (std::size_t l = 0; l < levels; ++l) {
      const std::size_t stride = std::size_t{1} << l;
      next.assign(before + n, x.get()[0]);
      table.atrous(level.data() + before, taps, 2, stride, n, next.data() + before, detail.data());
      for (std::size_t t = 0; t < n; ++t) {
        const double want = 0.5 * level[before + t] + 0.5 * level[before + t - stride];
        CHECK(std::fabs(next[before + t] - want) <= 2 * ulp * largest, "atrous, %s, level %zu", pattern.name, l + 1);
        sum[t] += detail[t];
      }
      level = next;
    }
    double worst = 0.0;
    for (std::size_t t = 0; t < n; ++t) worst = std::fmax(worst, std::fabs(sum[t] + level[before + t] - x.get()[t]));
    CHECK(worst <= 2 * levels * ulp * largest, "atrous, %s: reconstruction is off by %g of %g", pattern.name, worst, largest);
  }
}

void test_qgemm(const KernelTable& table) {
  Random random(26);
  const std::size_t M = 3, N = 17, K = 272;
  Input<std::int8_t> a(M * K), w(N * K);
  fill(random, a.get(), M * K, Bytes::uniform);
  fill(random, w.get(), N * K, Bytes::uniform);
  Input<float> a_scale(M), w_scale(N), bias(N);
  patterns[0].fill(random, a_scale.get(), M);
  patterns[0].fill(random, w_scale.get(), N);
  patterns[0].fill(random, bias.get(), N);
  Output<float> y(M * N);
  Packed packed(table.qgemm_size(N, K));
  table.qgemm_pack(w.get(), N, K, packed.get());
  table.qgemm_run(a.get(), a_scale.get(), packed.get(), w_scale.get(), bias.get(), y.get(), N, M, N, K,
                  false);
  for (std::size_t m = 0; m < M; ++m)
    for (std::size_t n = 0; n < N; ++n) {
      double acc = 0.0;
      for (std::size_t k = 0; k < K; ++k) acc += a.get()[m * K + k] * w.get()[n * K + k];
      const double product = acc * a_scale.get()[m] * w_scale.get()[n];
      const double want = product + bias.get()[n];
      CHECK(std::fabs(y.get()[m * N + n] - want) <= 3 * ulp * (std::fabs(product) + std::fabs(want)),
            "qgemm [%zu][%zu]: %.9g, float64 %.9g", m, n, static_cast<double>(y.get()[m * N + n]), want);
    }
}

// Against the exact softmax of the dequantised inputs: rounding P costs at most half a step of G / 127 a key, times |v| <= 127.
void test_attention(const KernelTable& table) {
  Random random(27);
  const std::size_t T = 24, H = 2, D = 32, W = 16, row = H * D;
  Input<std::int8_t> q(T * row), k(T * row), v(T * row);
  Input<float> q_scale(T * H), k_scale(T * H), v_scale(T * H), bias(H * W);
  fill(random, q.get(), q.size(), Bytes::uniform);
  fill(random, k.get(), k.size(), Bytes::uniform);
  fill(random, v.get(), v.size(), Bytes::uniform);
  for (std::size_t i = 0; i < T * H; ++i) {
    q_scale.get()[i] = 0.02f + __builtin_fabsf(random.uniform(0.02f));
    k_scale.get()[i] = 0.02f + __builtin_fabsf(random.uniform(0.02f));
    v_scale.get()[i] = 0.01f + __builtin_fabsf(random.uniform(0.09f));
  }
  patterns[0].fill(random, bias.get(), bias.size());
  Output<float> out(T * row), work(sanderling::attention_work(W));
  const float inv_sqrt_d = 0.1767767f;
  table.attention({q.get(), k.get(), v.get(), q_scale.get(), k_scale.get(), v_scale.get(), bias.get(), inv_sqrt_d, T, 0, H,
                   D, W, out.get(), work.get()});
  for (std::size_t t = 0; t < T; ++t)
    for (std::size_t h = 0; h < H; ++h) {
      const std::size_t lo = t + 1 > W ? t + 1 - W : 0, n = t - lo + 1;
      double weight[16], m = -1e300, sum = 0.0, G = 0.0;
      for (std::size_t i = 0; i < n; ++i) {
        double dot = 0.0;
        for (std::size_t d = 0; d < D; ++d)
          dot += q.get()[t * row + h * D + d] * k.get()[(lo + i) * row + h * D + d];
        weight[i] = dot * q_scale.get()[t * H + h] * k_scale.get()[(lo + i) * H + h] * inv_sqrt_d +
                    bias.get()[h * W + (n - 1 - i)];
        m = std::fmax(m, weight[i]);
      }
      for (std::size_t i = 0; i < n; ++i) {
        weight[i] = std::exp(weight[i] - m);
        sum += weight[i];
        G = std::fmax(G, weight[i] * v_scale.get()[(lo + i) * H + h]);
      }
      double worst = 0.0;
      for (std::size_t d = 0; d < D; ++d) {
        double want = 0.0;
        for (std::size_t i = 0; i < n; ++i)
          want += weight[i] * v_scale.get()[(lo + i) * H + h] * v.get()[(lo + i) * row + h * D + d];
        worst = std::fmax(worst, std::fabs(out.get()[t * row + h * D + d] - want / sum));
      }
      const double bound = static_cast<double>(n) * 0.5 * (G / 127.0) * 127.0 / sum;
      CHECK(worst <= bound * 1.001, "attention token %zu head %zu: error %g, bound %g", t, h, worst, bound);
    }
}

void test_softmin(const KernelTable& table) {
  Random random(28);
  const std::size_t n = 200;
  Input<float> dot(n), norm(n);
  for (const float inv_tau : {0.5f, 10.0f}) {
    for (std::size_t i = 0; i < n; ++i) {
      dot.get()[i] = random.uniform(1.0f);
      norm.get()[i] = 1.0f + __builtin_fabsf(random.uniform(1.0f));
    }
    const float got = table.softmin(dot.get(), norm.get(), 1.5f, n, inv_tau, 20, 37);
    double m = 1e300, weighted = 0.0, sum = 0.0;
    const auto distance = [&](std::size_t i) {
      return std::fmax(0.0, 1.5 + static_cast<double>(norm.get()[i]) - 2.0 * dot.get()[i]);
    };
    const auto counts = [](std::size_t i) { return i < 20 || i >= 37; };
    for (std::size_t i = 0; i < n; ++i)
      if (counts(i)) m = std::fmin(m, distance(i));
    for (std::size_t i = 0; i < n; ++i) {
      if (!counts(i)) continue;
      const double w = std::exp((m - distance(i)) * inv_tau);
      weighted += w * distance(i);
      sum += w;
    }
    CHECK(std::fabs(got - weighted / sum) <= 1e-5, "softmin: %g, float64 %g", static_cast<double>(got), weighted / sum);
  }
}

}  // namespace

void test_accuracy(const KernelTable& table) {
  test_exp();
  test_gelu(table);
  test_layer_norm(table);
  test_quantizer(table);
  test_linear(table);
  test_atrous(table);
  test_qgemm(table);
  test_attention(table);
  test_softmin(table);
}
