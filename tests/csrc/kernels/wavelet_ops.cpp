// moments, dwt and idwt: bit equality with reference, the results against plain float64 sums, and one hash.
#include <cmath>

#include "data.h"
#include "tests.h"

using namespace data;
using sanderling::KernelTable;

namespace {

// Haar, db4, an odd number of pairs, the longest stored filter (coif17).
constexpr std::size_t tap_counts[] = {2, 8, 10, 102};

constexpr struct {
  std::size_t n, lanes;
} shapes[] = {
    {1, 1},   {3, 1},             // below every register
    {4, 1},   {8, 1},             // one NEON, one AVX2 register of float
    {9, 1},   {31, 1},            // tails of one output, of all but one
    {32, 1},  {33, 1},  {259, 1}, // a block of four registers, one more, many and a tail
    {5, 2},   {5, 3},             // lanes below every register
    {5, 4},   {3, 8},             // exactly one
    {3, 9},   {3, 15},            // a tail that overlaps
    {3, 16},  {2, 32}, {2, 33},   // four registers of float64, of float32, one more
};

template <typename T>
struct Signals {
  Signals(Random& random, const Pattern& pattern, std::size_t n) : values(n) {
    Input<float> narrow(n);
    pattern.fill(random, narrow.get(), n);
    for (std::size_t i = 0; i < n; ++i) values.get()[i] = static_cast<T>(narrow.get()[i]);
    // Bits that float hasn't.
    if (sizeof(T) == 8)
      for (std::size_t i = 0; i < n; ++i) values.get()[i] *= static_cast<T>(1.0 + 0x1p-40);
  }
  const T* get() { return values.get(); }
  Input<T> values;
};

// |got - the sum in float64| <= (taps + 1) ulp of the sum of magnitudes.
template <typename T>
void near(const T* got, const double* want, const double* magnitude, std::size_t n, std::size_t taps, const char* what) {
  const double ulp = sizeof(T) == 4 ? 0x1p-23 : 0x1p-52;
  for (std::size_t i = 0; i < n; ++i)
    CHECK(std::fabs(static_cast<double>(got[i]) - want[i]) <= static_cast<double>(taps + 1) * ulp * magnitude[i] + 1e-40, "%s, %zu taps, at %zu", what, taps, i);
}

template <typename T>
void test_dwt(const KernelTable& table, const KernelTable& reference, const Pattern& pattern, Hash& hash) {
  Random random(41);
  for (std::size_t taps : tap_counts)
    for (const auto& [n, lanes] : shapes) {
      Signals<T> x(random, pattern, (taps + 2 * n - 2) * lanes), lo(random, patterns[0], taps), hi(random, patterns[0], taps);
      const T* newest = x.get() + (taps - 1) * lanes;
      const std::size_t size = n * lanes;
      Output<T> a(size), d(size), want_a(size), want_d(size);
      reference.dwt({newest, lo.get(), hi.get(), taps, n, lanes, want_a.get(), want_d.get(), sizeof(T) == 8});
      table.dwt({newest, lo.get(), hi.get(), taps, n, lanes, a.get(), d.get(), sizeof(T) == 8});
      check_same(want_a, a, "dwt a", pattern.name, taps, n, lanes);
      check_same(want_d, d, "dwt d", pattern.name, taps, n, lanes);
      hash.add(a.get(), size);
      hash.add(d.get(), size);
      std::vector<double> sum(size), magnitude(size);
      for (std::size_t o = 0; o < n; ++o)
        for (std::size_t c = 0; c < lanes; ++c)
          for (std::size_t j = 0; j < taps; ++j) {
            const double term = static_cast<double>(hi.get()[j]) * static_cast<double>(x.get()[(taps - 1 + 2 * o - j) * lanes + c]);
            sum[o * lanes + c] += term;
            magnitude[o * lanes + c] += std::fabs(term);
          }
      near(d.get(), sum.data(), magnitude.data(), size, taps, "dwt d");
    }
}

template <typename T>
void test_idwt(const KernelTable& table, const KernelTable& reference, const Pattern& pattern, Hash& hash) {
  Random random(42);
  for (std::size_t taps : tap_counts)
    for (const auto& [n, lanes] : shapes) {
      const std::size_t before = taps / 2 - 1, size = 2 * n * lanes;
      Signals<T> a(random, pattern, (before + n) * lanes), d(random, pattern, (before + n) * lanes);
      Signals<T> lo(random, patterns[0], taps), hi(random, patterns[0], taps);
      Output<T> x(size), want(size);
      const T *first_a = a.get() + before * lanes, *first_d = d.get() + before * lanes;
      reference.idwt({first_a, first_d, lo.get(), hi.get(), taps, n, lanes, want.get(), sizeof(T) == 8});
      table.idwt({first_a, first_d, lo.get(), hi.get(), taps, n, lanes, x.get(), sizeof(T) == 8});
      check_same(want, x, "idwt", pattern.name, taps, n, lanes);
      hash.add(x.get(), size);
      std::vector<double> sum(size), magnitude(size);
      for (std::size_t t = 0; t < 2 * n; ++t)
        for (std::size_t c = 0; c < lanes; ++c)
          for (std::size_t j = t % 2; j < taps; j += 2) {
            const std::size_t row = (before + t / 2 - j / 2) * lanes + c;
            const double s = static_cast<double>(lo.get()[j]) * static_cast<double>(a.get()[row]), w = static_cast<double>(hi.get()[j]) * static_cast<double>(d.get()[row]);
            sum[t * lanes + c] += s + w;
            magnitude[t * lanes + c] += std::fabs(s) + std::fabs(w);
          }
      near(x.get(), sum.data(), magnitude.data(), size, taps, "idwt");
    }
}

void test_moments(const KernelTable& table, const KernelTable& reference, const Pattern& pattern, Hash& hash) {
  Random random(43);
  // Below the 16 lanes, exactly them, one more, several with a tail, a frame of 10 ms at 48 kHz.
  for (std::size_t n : {1, 4, 15, 16, 17, 83, 480}) {
    Input<float> x(n), weight(n);
    pattern.fill(random, x.get(), n);
    for (std::size_t i = 0; i < n; ++i) weight.get()[i] = random.bits() % 4 ? 1.0f : 0.0f;
    Output<double> want(2), got(2);
    reference.moments(x.get(), weight.get(), n, want.get());
    table.moments(x.get(), weight.get(), n, got.get());
    check_same(want, got, "moments", pattern.name, n, 0, 0);
    hash.add(got.get(), 2);
    double sums[2] = {};
    for (std::size_t i = 0; i < n; ++i) {
      const double v = weight.get()[i] != 0.0f ? static_cast<double>(x.get()[i]) : 0.0;
      sums[0] += v * v;
      sums[1] += v * v * v * v;
    }
    for (int k : {0, 1}) CHECK(std::fabs(got.get()[k] - sums[k]) <= 1e-13 * sums[k], "moments, %s, n %zu", pattern.name, n);
  }
}

}  // namespace

void test_wavelet_ops(const KernelTable& table, const KernelTable& reference, bool print) {
  constexpr std::uint64_t expected = 0x30893323d14698d5;
  Hash hash;
  for (std::size_t i : {0, 5, 8, 11}) {  // uniform, signed zeros, huge, one spike
    test_moments(table, reference, patterns[i], hash);
    test_dwt<float>(table, reference, patterns[i], hash);
    test_dwt<double>(table, reference, patterns[i], hash);
    test_idwt<float>(table, reference, patterns[i], hash);
    test_idwt<double>(table, reference, patterns[i], hash);
  }
  if (print) std::printf("hash wavelet ops %016llx\n", static_cast<unsigned long long>(hash.value()));
  CHECK(hash.value() == expected, "wavelet ops on %s: expected hash %016llx, found %016llx", table.isa,
        static_cast<unsigned long long>(expected), static_cast<unsigned long long>(hash.value()));
}
