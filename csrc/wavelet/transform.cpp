#include <algorithm>
#include <memory>
#include <new>

#include "wavelet.h"

namespace sanderling {
namespace {

// Boundary rows in work at once, as multiples of the filters' length: with no output inside the signal it has at most taps + 1 rows,
// and the outputs of one end see fewer than 3 taps. The inverse holds two signals and a pair.
constexpr std::size_t edge_rows(std::size_t taps) { return 4 * taps + 2; }

template <typename T>
struct Side {
  const KernelTable& kernels;
  const T *lo, *hi;
  std::size_t taps;
  Extension mode;
  std::size_t lanes;
  T* edge;  // [edge_rows(taps)][lanes]

  // Outputs first .. last - 1 of a level; the newest row that output o sees is base + 2 o.
  void decompose_edge(const T* x, std::size_t n, std::size_t base, std::size_t first, std::size_t last, T* a, T* d) const {
    if (first == last) return;
    const std::size_t rows = 2 * (last - first - 1) + taps;
    extend(mode, x, n, lanes, static_cast<std::ptrdiff_t>(base + 2 * first + 1) - static_cast<std::ptrdiff_t>(taps), rows, edge);
    kernels.dwt({edge + (taps - 1) * lanes, lo, hi, taps, last - first, lanes, a + first * lanes, d + first * lanes, sizeof(T) == 8});
  }

  void decompose(const T* x, std::size_t n, T* a, T* d) const {
    const std::size_t count = dwt_length(n, taps, mode), base = mode == Extension::periodization ? taps / 2 : 1;
    const std::size_t first = (taps - base) / 2, last = n > base ? std::min((n - 1 - base) / 2 + 1, count) : 0;
    if (first >= last) return decompose_edge(x, n, base, 0, count, a, d);
    decompose_edge(x, n, base, 0, first, a, d);
    kernels.dwt({x + (base + 2 * first) * lanes, lo, hi, taps, last - first, lanes, a + first * lanes, d + first * lanes,
                 sizeof(T) == 8});
    decompose_edge(x, n, base, last, count, a, d);
  }

  // Pairs first .. last - 1 of the periodic signals a and d [n], pair i from row i: to x.
  void rebuild_edge(const T* a, const T* d, std::size_t n, std::size_t first, std::size_t last, T* x) const {
    if (first == last) return;
    const std::size_t before = taps / 2 - 1, rows = last - first + before;
    const std::ptrdiff_t t0 = static_cast<std::ptrdiff_t>(first) - static_cast<std::ptrdiff_t>(before);
    T* other = edge + rows * lanes;
    extend(Extension::periodic, a, n, lanes, t0, rows, edge);
    extend(Extension::periodic, d, n, lanes, t0, rows, other);
    kernels.idwt({edge + before * lanes, other + before * lanes, lo, hi, taps, last - first, lanes, x, sizeof(T) == 8});
  }

  void rebuild_range(const T* a, const T* d, std::size_t n, std::size_t first, std::size_t last, T* x) const {
    const std::size_t inner = std::max(first, taps / 2 - 1), end = std::min(last, n);
    if (inner >= end) return rebuild_edge(a, d, n, first, last, x);
    rebuild_edge(a, d, n, first, inner, x);
    kernels.idwt({a + inner * lanes, d + inner * lanes, lo, hi, taps, end - inner, lanes, x + 2 * (inner - first) * lanes, sizeof(T) == 8});
    rebuild_edge(a, d, n, end, last, x + 2 * (end - first) * lanes);
  }

  void rebuild(const T* a, const T* d, std::size_t n, T* x) const {
    if (mode != Extension::periodization) return rebuild_range(a, d, n, taps / 2 - 1, n, x);
    const std::size_t start = taps / 4;
    if (taps / 2 % 2 == 1) return rebuild_range(a, d, n, start, start + n, x);
    // The pairs lie across the end: the first one is the last row and row 0.
    T* pair = edge + (edge_rows(taps) - 2) * lanes;
    rebuild_edge(a, d, n, start + n - 1, start + n, pair);
    std::copy_n(pair, lanes, x + (2 * n - 1) * lanes);
    std::copy_n(pair + lanes, lanes, x);
    rebuild_range(a, d, n, start, start + n - 1, x + lanes);
  }
};

template <typename T>
using Rows = std::unique_ptr<T[]>;

template <typename T>
Rows<T> rows(std::size_t n, std::size_t lanes) {
  return Rows<T>(new (std::nothrow) T[std::max<std::size_t>(n * lanes, 1)]);
}

// Fewer lanes than a register: each goes alone, through contiguous copies.
template <typename T>
bool narrow(std::size_t lanes) {
  return lanes > 1 && lanes * sizeof(T) < 32;
}

template <typename T>
const T* gather(const T* from, std::size_t n, std::size_t lanes, T* to) {
  for (std::size_t t = 0; t < n; ++t) to[t] = from[t * lanes];
  return to;
}

template <typename T>
void scatter(const T* from, std::size_t n, std::size_t lanes, T* to) {
  for (std::size_t t = 0; t < n; ++t) to[t * lanes] = from[t];
}

template <typename T>
bool wavedec_as(const KernelTable& kernels, const FilterBank& bank, Extension mode, std::size_t outer, std::size_t n,
                std::size_t all_lanes, std::size_t levels, const T* x, void* const* out) {
  const bool alone = narrow<T>(all_lanes);
  const std::size_t lanes = alone ? 1 : all_lanes;
  // Approximations alternate between two places; the last one goes to its own.
  std::size_t most[2] = {0, 0}, length = n;
  for (std::size_t level = 1; level <= levels; ++level) {
    length = dwt_length(length, bank.taps, mode);
    if (level < levels || alone) most[level % 2] = std::max(most[level % 2], length);
  }
  const Rows<T> places[2] = {rows<T>(most[0], lanes), rows<T>(most[1], lanes)};
  const Rows<T> edge = rows<T>(edge_rows(bank.taps), lanes), signal = rows<T>(alone ? n : 0, 1);
  const Rows<T> detail = rows<T>(alone ? std::max(most[0], most[1]) : 0, 1);
  if (!places[0] || !places[1] || !edge || !signal || !detail) return false;

  const Side<T> side{kernels, static_cast<const T*>(bank.dec_lo), static_cast<const T*>(bank.dec_hi), bank.taps, mode, lanes, edge.get()};
  for (std::size_t block = 0; block < outer * (all_lanes / lanes); ++block) {
    const std::size_t part = alone ? block / all_lanes : block, lane = alone ? block % all_lanes : 0;
    const T* from = x + part * n * all_lanes + lane;
    if (alone) from = gather(from, n, all_lanes, signal.get());
    length = n;
    for (std::size_t level = 1; level <= levels; ++level) {
      const std::size_t count = dwt_length(length, bank.taps, mode);
      T* d = static_cast<T*>(out[levels + 1 - level]) + part * count * all_lanes + lane;
      T* a = level == levels ? static_cast<T*>(out[0]) + part * count * all_lanes + lane : places[level % 2].get();
      if (alone) {
        T* next = places[level % 2].get();
        side.decompose(from, length, next, detail.get());
        scatter(detail.get(), count, all_lanes, d);
        if (level == levels) scatter(next, count, all_lanes, a);
        from = next;
      } else {
        side.decompose(from, length, a, d);
        from = a;
      }
      length = count;
    }
  }
  return true;
}

template <typename T>
bool waverec_as(const KernelTable& kernels, const FilterBank& bank, Extension mode, std::size_t outer, std::size_t all_lanes,
                std::size_t levels, const void* const* in, const std::size_t* lengths, T* out) {
  const bool alone = narrow<T>(all_lanes);
  const std::size_t lanes = alone ? 1 : all_lanes;
  const std::size_t total = idwt_length(lengths[levels], bank.taps, mode);
  std::size_t most[2] = {0, 0}, coefficients = lengths[0];
  for (std::size_t level = 1; level <= levels; ++level) {
    coefficients = std::max(coefficients, lengths[level]);
    if (level < levels || alone) most[level % 2] = std::max(most[level % 2], idwt_length(lengths[level], bank.taps, mode));
  }
  const Rows<T> places[2] = {rows<T>(most[0], lanes), rows<T>(most[1], lanes)};
  const Rows<T> edge = rows<T>(edge_rows(bank.taps), lanes), approximation = rows<T>(alone ? coefficients : 0, 1);
  const Rows<T> detail = rows<T>(alone ? coefficients : 0, 1);
  if (!places[0] || !places[1] || !edge || !approximation || !detail) return false;

  const Side<T> side{kernels, static_cast<const T*>(bank.rec_lo), static_cast<const T*>(bank.rec_hi), bank.taps, mode, lanes, edge.get()};
  for (std::size_t block = 0; block < outer * (all_lanes / lanes); ++block) {
    const std::size_t part = alone ? block / all_lanes : block, lane = alone ? block % all_lanes : 0;
    const T* a = static_cast<const T*>(in[0]) + part * lengths[0] * all_lanes + lane;
    if (alone) a = gather(a, lengths[0], all_lanes, approximation.get());
    T* whole = out + part * total * all_lanes + lane;
    for (std::size_t level = 1; level <= levels; ++level) {
      const std::size_t count = lengths[level];
      const T* d = static_cast<const T*>(in[level]) + part * count * all_lanes + lane;
      if (alone) d = gather(d, count, all_lanes, detail.get());
      T* next = level == levels && !alone ? whole : places[level % 2].get();
      side.rebuild(a, d, count, next);
      a = next;
    }
    if (alone) scatter(a, total, all_lanes, whole);
  }
  return true;
}

}  // namespace

std::size_t dwt_length(std::size_t n, std::size_t taps, Extension mode) {
  return mode == Extension::periodization ? (n + 1) / 2 : (n + taps - 1) / 2;
}

std::size_t idwt_length(std::size_t n, std::size_t taps, Extension mode) {
  if (mode == Extension::periodization) return 2 * n;
  return 2 * n + 2 > taps ? 2 * n + 2 - taps : 0;
}

bool wavedec(const KernelTable& kernels, const FilterBank& bank, Extension mode, std::size_t outer, std::size_t n, std::size_t lanes,
             std::size_t levels, const void* x, void* const* out) {
  return bank.wide ? wavedec_as(kernels, bank, mode, outer, n, lanes, levels, static_cast<const double*>(x), out)
                   : wavedec_as(kernels, bank, mode, outer, n, lanes, levels, static_cast<const float*>(x), out);
}

bool waverec(const KernelTable& kernels, const FilterBank& bank, Extension mode, std::size_t outer, std::size_t lanes,
             std::size_t levels, const void* const* in, const std::size_t* lengths, void* out) {
  return bank.wide ? waverec_as(kernels, bank, mode, outer, lanes, levels, in, lengths, static_cast<double*>(out))
                   : waverec_as(kernels, bank, mode, outer, lanes, levels, in, lengths, static_cast<float*>(out));
}

}  // namespace sanderling
