// The decimated transform on every table: each level against its definition in float64, the same bits as reference, and back again.
#include "wavelet/wavelet.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "check.h"
#include "kernels/data.h"
#include "wavelet/filters.h"

using namespace sanderling;

namespace {

struct Filters {
  std::size_t taps;
  std::vector<double> dec_lo, dec_hi, rec_lo, rec_hi;

  explicit Filters(const char* name) : dec_lo(max_taps), rec_lo(max_taps) {
    taps = wavelet_filters(name, dec_lo.data(), rec_lo.data());
    for (std::size_t k = 0; k < taps; ++k) {
      dec_hi.push_back(k % 2 ? rec_lo[k] : -rec_lo[k]);
      rec_hi.push_back(k % 2 ? -dec_lo[k] : dec_lo[k]);
    }
  }
};

template <typename T>
struct Bank {
  std::vector<T> filters[4];
  std::size_t taps;

  explicit Bank(const Filters& from) : taps(from.taps) {
    const std::vector<double>* all[] = {&from.dec_lo, &from.dec_hi, &from.rec_lo, &from.rec_hi};
    for (int i = 0; i < 4; ++i) filters[i].assign(all[i]->begin(), all[i]->begin() + static_cast<std::ptrdiff_t>(taps));
  }
  FilterBank view() const { return {filters[0].data(), filters[1].data(), filters[2].data(), filters[3].data(), taps, sizeof(T) == 8}; }
};

constexpr struct {
  std::size_t outer, n, lanes, levels;
} shapes[] = {
    {1, 2, 1, 1},                // the shortest that every mode takes
    {1, 3, 1, 1},  {1, 7, 1, 1}, // shorter than the filters: turns over turns of the extension
    {1, 8, 1, 1},  {1, 9, 1, 1}, // db4's length, one more
    {1, 77, 1, 3}, {1, 256, 1, 4},
    {3, 40, 1, 2},               // rows
    {1, 40, 2, 2}, {2, 33, 3, 2},  // fewer lanes than a register: through copies
    {1, 33, 8, 2}, {2, 64, 19, 3}, // registers of lanes, a tail
};
constexpr const char* wavelets[] = {"haar", "db4", "db5", "bior2.4", "coif3", "dmey"};

// x[t] of the extended signal, from the table in wavelet.h alone.
double extended(Extension mode, const std::vector<double>& x, std::ptrdiff_t t) {
  const auto n = static_cast<std::ptrdiff_t>(x.size());
  const auto at = [&](std::ptrdiff_t i) { return x[static_cast<std::size_t>(i)]; };
  if (t >= 0 && t < n) return at(t);
  const bool left = t < 0;
  const std::ptrdiff_t mirror = left ? -1 - t : 2 * n - 1 - t, about = left ? -t : 2 * n - 2 - t;
  const double end = at(left ? 0 : n - 1);
  switch (mode) {
    case Extension::zero: return 0.0;
    case Extension::constant: return end;
    case Extension::symmetric: return extended(mode, x, mirror);
    case Extension::antisymmetric: return -extended(mode, x, mirror);
    case Extension::reflect: return extended(mode, x, about);
    case Extension::antireflect: return 2.0 * end - extended(mode, x, about);
    case Extension::periodic: return extended(mode, x, left ? t + n : t - n);
    case Extension::smooth: return n == 1 ? end : end + static_cast<double>(left ? -t : t - n + 1) * (end - at(left ? 1 : n - 2));
    case Extension::periodization: return n % 2 == 1 && (t == n || t == -1) ? at(n - 1) : extended(mode, x, left ? t + n + n % 2 : t - n - n % 2);
  }
  return 0.0;
}

void decompose(const Filters& f, Extension mode, const std::vector<double>& x, std::vector<double>* a, std::vector<double>* d) {
  const std::size_t count = dwt_length(x.size(), f.taps, mode);
  const auto base = static_cast<std::ptrdiff_t>(mode == Extension::periodization ? f.taps / 2 : 1);
  a->assign(count, 0.0);
  d->assign(count, 0.0);
  for (std::size_t o = 0; o < count; ++o)
    for (std::size_t j = 0; j < f.taps; ++j) {
      const double v = extended(mode, x, base + 2 * static_cast<std::ptrdiff_t>(o) - static_cast<std::ptrdiff_t>(j));
      (*a)[o] += f.dec_lo[j] * v;
      (*d)[o] += f.dec_hi[j] * v;
    }
}

template <typename T>
struct Coefficients {
  std::vector<std::size_t> lengths;
  std::vector<std::vector<T>> parts;
  std::vector<void*> out;
  std::vector<const void*> in;

  Coefficients(std::size_t n, std::size_t taps, Extension mode, std::size_t levels, std::size_t others) : lengths(levels + 1) {
    for (std::size_t i = levels; i > 0; --i) lengths[i] = n = dwt_length(n, taps, mode);
    lengths[0] = n;
    for (std::size_t length : lengths) parts.emplace_back(length * others);
    for (auto& part : parts) {
      out.push_back(part.data());
      in.push_back(part.data());
    }
  }
};

template <typename T>
void round_trip(const KernelTable& table, const KernelTable& reference, const char* name, Extension mode) {
  const Filters filters(name);
  const Bank<T> bank(filters);
  const double ulp = sizeof(T) == 4 ? 0x1p-23 : 0x1p-52;
  data::Random random(7);
  for (const auto& [outer, n, lanes, levels] : shapes) {
    data::Input<T> x(outer * n * lanes);
    for (std::size_t i = 0; i < x.size(); ++i) x.get()[i] = static_cast<T>(random.uniform(3.0f));
    Coefficients<T> got(n, bank.taps, mode, levels, outer * lanes), want(n, bank.taps, mode, levels, outer * lanes);
    const char* label = extension_names[static_cast<std::size_t>(mode)];
    CHECK(wavedec(table, bank.view(), mode, outer, n, lanes, levels, x.get(), got.out.data()), "memory");
    CHECK(wavedec(reference, bank.view(), mode, outer, n, lanes, levels, x.get(), want.out.data()), "memory");
    for (std::size_t i = 0; i <= levels; ++i)
      CHECK(std::memcmp(got.out[i], want.out[i], got.parts[i].size() * sizeof(T)) == 0, "%s %s: part %zu of %zu x %zu", name, label, i, n, lanes);

    // One signal of the batch, level after level.
    const std::size_t part = outer - 1, lane = lanes - 1;
    std::vector<double> a(n), next, d;
    for (std::size_t t = 0; t < n; ++t) a[t] = static_cast<double>(x.get()[(part * n + t) * lanes + lane]);
    double largest = 3.0;
    for (std::size_t level = levels; level > 0; --level) {
      decompose(filters, mode, a, &next, &d);
      for (double v : next) largest = std::fmax(largest, std::fabs(v));
      const double bound = static_cast<double>(bank.taps * (levels + 1)) * 16 * ulp * largest;
      for (std::size_t o = 0; o < d.size(); ++o) {
        const double found = static_cast<double>(got.parts[level][(part * d.size() + o) * lanes + lane]);
        CHECK(std::fabs(found - d[o]) <= bound, "%s %s, %zu x %zu: detail %zu is %g, not %g", name, label, n, lanes, o, found, d[o]);
      }
      a = next;
    }

    std::vector<T> back(outer * lanes * idwt_length(got.lengths[levels], bank.taps, mode));
    CHECK(waverec(table, bank.view(), mode, outer, lanes, levels, got.in.data(), got.lengths.data(), back.data()), "memory");
    std::vector<T> expected(back.size());
    CHECK(waverec(reference, bank.view(), mode, outer, lanes, levels, got.in.data(), got.lengths.data(), expected.data()), "memory");
    CHECK(std::memcmp(back.data(), expected.data(), back.size() * sizeof(T)) == 0, "%s %s: %zu x %zu", name, label, n, lanes);
    // dmey is cut off to 62 coefficients and rebuilds no better than this, in PyWavelets too.
    const bool approximate = std::strcmp(name, "dmey") == 0;
    const double bound = largest * (approximate ? 6e-3 * static_cast<double>(levels) : 400 * ulp * static_cast<double>(bank.taps));
    const std::size_t rows = back.size() / (outer * lanes);
    double worst = 0.0;
    for (std::size_t o = 0; o < outer; ++o)
      for (std::size_t i = 0; i < n * lanes; ++i)
        worst = std::fmax(worst, std::fabs(static_cast<double>(back[o * rows * lanes + i]) - static_cast<double>(x.get()[o * n * lanes + i])));
    CHECK(worst <= bound, "%s %s, %zu x %zu: reconstruction is off by %g", name, label, n, lanes, worst);
  }
}

void names() {
  std::size_t count = 0, longest = 0;
  double dec[max_taps], rec[max_taps];
  for (; wavelet_name(count) != nullptr; ++count) {
    const std::size_t taps = wavelet_filters(wavelet_name(count), dec, rec);
    CHECK(taps >= 2 && taps % 2 == 0 && taps <= max_taps, "%s", wavelet_name(count));
    longest = taps > longest ? taps : longest;
    // Both low-pass filters keep a constant: they sum to the root of 2.
    double sum[2] = {};
    for (std::size_t k = 0; k < taps; ++k) {
      sum[0] += dec[k];
      sum[1] += rec[k];
    }
    for (double s : sum) CHECK(std::fabs(s - std::sqrt(2.0)) < 1e-6, "%s: sum %.9g", wavelet_name(count), s);
  }
  CHECK(count == 106 && longest == max_taps, "%zu wavelets", count);
  for (const char* unknown : {"", "db", "db39", "rbio", "DB4", "bior1.1 "}) CHECK(wavelet_filters(unknown, dec, rec) == 0, "%s", unknown);
}

}  // namespace

int main() {
  std::size_t count = 0;
  const KernelTable* const* tables = kernel_tables(&count);
  int status = 0;
  names();
  for (std::size_t i = count; i-- > 0;) {
    if (!tables[i]->supported()) continue;
    for (const char* name : wavelets)
      for (std::size_t mode = 0; mode < n_extensions; ++mode) {
        round_trip<float>(*tables[i], *tables[count - 1], name, static_cast<Extension>(mode));
        round_trip<double>(*tables[i], *tables[count - 1], name, static_cast<Extension>(mode));
      }
    status |= check::report(tables[i]->isa);
  }
  return status;
}
