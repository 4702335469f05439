// The scalar arithmetic of core/math.h against float64, and its bits.
#include <cmath>
#include <limits>

#include "check.h"
#include "core/checked.h"
#include "core/math.h"
#include "model_bytes.h"

using namespace sanderling;

namespace {

double relative(double got, double want) { return want == 0.0 ? std::fabs(got) : std::fabs(got - want) / std::fabs(want); }

void exponential() {
  double worst = 0.0;
  for (float x = -87.0f; x <= 88.0f; x += 0.00137f) {
    const double error = relative(static_cast<double>(exp32(x)), std::exp(static_cast<double>(x)));
    worst = std::fmax(worst, error / (3e-7 + 1.4e-8 * std::fabs(static_cast<double>(x))));
  }
  CHECK(worst <= 1.0);
  CHECK(exp32(0.0f) == 1.0f);
  CHECK(exp32(-1e30f) == exp32(-87.0f));
  CHECK(exp32(1e30f) == exp32(88.0f));
}

void logarithms() {
  double worst = 0.0, worst64 = 0.0;
  for (int e = -126; e < 127; ++e)
    for (int i = 0; i < 257; ++i) {
      const double x = std::ldexp(1.0 + i / 257.0, e);
      const auto f = static_cast<float>(x);
      worst = std::fmax(worst, relative(static_cast<double>(log1p32(f)), std::log1p(static_cast<double>(f))));
      if (std::fabs(x - 1.0) > 1e-3) worst64 = std::fmax(worst64, relative(log64(x), std::log(x)));
    }
  CHECK(worst <= 2e-7);
  CHECK(worst64 <= 1e-14);
  CHECK(log64(1.0) == 0.0);
  CHECK(log1p32(0.0f) == 0.0f);
  CHECK(std::isfinite(log1p32(std::numeric_limits<float>::max())));
}

// Other machines must find the same bits; the constant was computed by this program.
void bits() {
  Random random{1};
  std::vector<float> values;
  for (int i = 0; i < 100000; ++i) {
    const float u = random.uniform(), scale = std::ldexp(1.0f, static_cast<int>(random.below(60)) - 40);
    values.push_back(exp32(u * 100.0f));
    values.push_back(log1p32(std::fabs(u) * scale));
    values.push_back(static_cast<float>(log64(1e-9 + std::fabs(static_cast<double>(u)))));
  }
  const std::uint64_t hash = hash_floats(values.data(), values.size());
  if (!CHECK(hash == 0xca42b015612b7e23u)) std::fprintf(stderr, "found 0x%016llxu\n", static_cast<unsigned long long>(hash));
}

void lanes() {
  float x[37];
  for (int i = 0; i < 37; ++i) x[i] = static_cast<float>(i + 1);
  CHECK(lane_sum(x, 37) == 703.0f);
  CHECK(lane_sum(x, 15) == 120.0f);
  CHECK(lane_sum_squares(x, 3, 2.0f) == 2.0f);
  // 2^24 and 1 share lane 0 when they stand 16 apart: 1 is lost there, and only there.
  float apart[17] = {16777216.0f};
  apart[16] = 1.0f;
  CHECK(lane_sum(apart, 17) == 16777216.0f);
}

void sizes() {
  std::uint64_t out = 0;
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  CHECK(checked_mul(1u << 31, 1u << 31, &out) && out == std::uint64_t{1} << 62);
  CHECK(!checked_mul(std::uint64_t{1} << 33, std::uint64_t{1} << 31, &out));
  CHECK(!checked_add(most, 1, &out));
  CHECK(!checked_align(most - 5, 32, &out));
  CHECK(checked_align(33, 32, &out) && out == 64);
}

}  // namespace

int main() {
  exponential();
  logarithms();
  bits();
  lanes();
  sizes();
  return check::report("scalar");
}
