#include <algorithm>
#include <cstring>

#include "wavelet.h"

namespace sanderling {
namespace {

// t modulo period, in [0, period).
std::ptrdiff_t wrap(std::ptrdiff_t t, std::ptrdiff_t period) {
  if (t >= 0 && t < period) return t;
  t %= period;
  return t < 0 ? t + period : t;
}

template <typename T>
struct Signal {
  const T* x;
  std::ptrdiff_t n;
  std::size_t lanes;

  const T* row(std::ptrdiff_t t) const { return x + static_cast<std::size_t>(t) * lanes; }
  void copy(std::ptrdiff_t from, T* to) const { std::copy_n(row(from), lanes, to); }
  void negate(std::ptrdiff_t from, T* to) const {
    const T* source = row(from);
    for (std::size_t c = 0; c < lanes; ++c) to[c] = -source[c];
  }
};

// One row outside the signal, t < 0 or t >= n.
template <typename T>
using outside_fn = void(const Signal<T>& s, std::ptrdiff_t t, T* to);

template <typename T>
void zero(const Signal<T>& s, std::ptrdiff_t, T* to) {
  std::fill_n(to, s.lanes, T{0});
}

template <typename T>
void constant(const Signal<T>& s, std::ptrdiff_t t, T* to) {
  s.copy(t < 0 ? 0 : s.n - 1, to);
}

template <typename T>
void symmetric(const Signal<T>& s, std::ptrdiff_t t, T* to) {
  const std::ptrdiff_t k = wrap(t, 2 * s.n);
  s.copy(k < s.n ? k : 2 * s.n - 1 - k, to);
}

template <typename T>
void antisymmetric(const Signal<T>& s, std::ptrdiff_t t, T* to) {
  const std::ptrdiff_t k = wrap(t, 2 * s.n);
  k < s.n ? s.copy(k, to) : s.negate(2 * s.n - 1 - k, to);
}

template <typename T>
void reflect(const Signal<T>& s, std::ptrdiff_t t, T* to) {
  const std::ptrdiff_t period = 2 * s.n - 2, k = wrap(t, period);
  s.copy(k < s.n ? k : period - k, to);
}

template <typename T>
void periodic(const Signal<T>& s, std::ptrdiff_t t, T* to) {
  s.copy(wrap(t, s.n), to);
}

template <typename T>
void periodization(const Signal<T>& s, std::ptrdiff_t t, T* to) {
  s.copy(std::min(wrap(t, s.n + s.n % 2), s.n - 1), to);
}

template <typename T>
void smooth(const Signal<T>& s, std::ptrdiff_t t, T* to) {
  if (s.n == 1) return constant(s, t, to);
  const bool left = t < 0;
  const T *end = s.row(left ? 0 : s.n - 1), *before = s.row(left ? 1 : s.n - 2);
  const T steps = static_cast<T>(left ? -t : t - s.n + 1);
  for (std::size_t c = 0; c < s.lanes; ++c) to[c] = end[c] + steps * (end[c] - before[c]);
}

// Each turn takes the curve on from the value at which the last one ended: `turns` rises of the whole signal away from its end.
template <typename T>
void antireflect(const Signal<T>& s, std::ptrdiff_t t, T* to) {
  const bool left = t < 0;
  const std::ptrdiff_t away = left ? -t : t - s.n + 1, turns = (away - 1) / (s.n - 1), k = (away - 1) % (s.n - 1) + 1;
  const T *end = s.row(left ? 0 : s.n - 1), *other = s.row(left ? s.n - 1 : 0);
  const bool turned = turns % 2 == 1;
  const T* from = turned ? other : end;
  // Seen from that end, k samples inwards.
  const T* at = s.row(left != turned ? k : s.n - 1 - k);
  for (std::size_t c = 0; c < s.lanes; ++c) {
    const T start = turns == 0 ? end[c] : end[c] + static_cast<T>(turns) * (end[c] - other[c]);
    to[c] = turned ? start + (at[c] - from[c]) : start - (at[c] - from[c]);
  }
}

template <typename T>
constexpr outside_fn<T>* outside[n_extensions] = {zero<T>,   constant<T>,      symmetric<T>,   reflect<T>,      periodic<T>,
                                                  smooth<T>, antisymmetric<T>, antireflect<T>, periodization<T>};

}  // namespace

const char* const extension_names[n_extensions] = {"zero",   "constant",      "symmetric",   "reflect",      "periodic",
                                                   "smooth", "antisymmetric", "antireflect", "periodization"};

template <typename T>
void extend(Extension mode, const T* x, std::size_t n, std::size_t lanes, std::ptrdiff_t t0, std::size_t rows, T* to) {
  const Signal<T> s{x, static_cast<std::ptrdiff_t>(n), lanes};
  outside_fn<T>* const row_outside = outside<T>[static_cast<std::size_t>(mode)];
  const std::ptrdiff_t end = t0 + static_cast<std::ptrdiff_t>(rows);
  for (std::ptrdiff_t t = t0; t < end;) {
    if (t < 0 || t >= s.n) {
      row_outside(s, t++, to);
      to += lanes;
      continue;
    }
    const std::ptrdiff_t until = std::min(end, s.n);
    const std::size_t values = static_cast<std::size_t>(until - t) * lanes;
    std::memcpy(to, s.row(t), values * sizeof(T));
    to += values;
    t = until;
  }
}

template void extend(Extension, const float*, std::size_t, std::size_t, std::ptrdiff_t, std::size_t, float*);
template void extend(Extension, const double*, std::size_t, std::size_t, std::ptrdiff_t, std::size_t, double*);

}  // namespace sanderling
