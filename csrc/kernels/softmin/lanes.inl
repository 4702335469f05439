// The soft minimum over the 16 virtual lanes; include after lanes/<isa>.h.
#include "kernels/lanes/exp32.inl"

namespace {

// The first pass keeps the nearest row of every lane in each of at most this many groups; the second looks only into groups that
// reach below the limit, so that a memory with few near rows costs one pass without an exp.
constexpr std::size_t most_groups = 64;

struct Distances {
  const float *dot, *norm;
  float q_norm;
  std::size_t n, lo, hi;

  // Before the clamp at 0, which commutes with the minimum and with the comparison. i < n.
  inline __attribute__((always_inline)) f32x16 at(std::size_t i) const {
    if (i + 16 <= n) return from(load(dot + i), norm ? load(norm + i) : set1(1.0f));
    return from(load_first(dot + i, n - i), norm ? load_first(norm + i, n - i) : set1(1.0f));
  }
  inline __attribute__((always_inline)) f32x16 from(f32x16 dots, f32x16 norms) const {
    return fma(set1(-2.0f), dots, add(set1(q_norm), norms));
  }
  // True when all 16 rows from i on count.
  inline __attribute__((always_inline)) bool whole(std::size_t i) const {
    return i + 16 <= n && (i + 16 <= lo || i >= hi);
  }
  inline __attribute__((always_inline)) mask16 counted(std::size_t i) const {
    const auto below = [i](std::size_t end) { return first(end <= i ? 0 : end - i < 16 ? end - i : 16); };
    return mask_and(below(n), mask_or(below(lo), mask_not(below(hi))));
  }
};

// The four vectors of 16 from i on: their distances before the clamp, rows that do not count as far as can be. WHOLE: all count.
template <bool WHOLE>
SANDERLING_LANES void four(const Distances& distances, std::size_t i, f32x16 (&d)[4]) {
  const f32x16 farthest = set1(3.4028234664e38f);
  SANDERLING_UNROLL
  for (std::size_t j = 0; j < 4; ++j) {
    const std::size_t at = i + 16 * j;
    if (WHOLE || distances.whole(at))
      d[j] = distances.from(load(distances.dot + at), distances.norm ? load(distances.norm + at) : set1(1.0f));
    else
      d[j] = at < distances.n ? select(distances.counted(at), distances.at(at), farthest) : farthest;
  }
}

template <bool WHOLE>
SANDERLING_LANES f32x16 nearest_of(const Distances& distances, std::size_t from, std::size_t stop, f32x16 least) {
  for (std::size_t i = from; i < stop; i += 64) {
    f32x16 d[4];
    four<WHOLE>(distances, i, d);
    least = min(min(min(d[0], d[1]), min(d[2], d[3])), least);
  }
  return least;
}

struct Sums {
  f32x16 weighted, sum;
};

// Far lanes get an exp that means nothing and a weight of 0.
template <bool WHOLE>
SANDERLING_LANES void weigh(const Distances& distances, std::size_t from, std::size_t stop, f32x16 m, f32x16 limit, f32x16 inv_tau,
                            Sums* sums) {
  for (std::size_t i = from; i < stop; i += 64) {
    f32x16 d[4], w[4];
    four<WHOLE>(distances, i, d);
    SANDERLING_UNROLL
    for (std::size_t half = 0; half < 4; half += 2) {
      if (!any(at_most(min(d[half], d[half + 1]), limit))) continue;
      SANDERLING_UNROLL
      for (std::size_t j = half; j < half + 2; ++j) {
        d[j] = max(d[j], set1(0.0f));
        w[j] = select(at_most(d[j], limit), exp32_bounded(mul(sub(m, d[j]), inv_tau)), set1(0.0f));
      }
      SANDERLING_UNROLL
      for (std::size_t j = half; j < half + 2; ++j) {
        sums->weighted = fma(w[j], d[j], sums->weighted);
        sums->sum = add(sums->sum, w[j]);
      }
    }
  }
}

SANDERLING_LANES float softmin_lanes(const float* dot, const float* norm, float q_norm, std::size_t n, float inv_tau,
                                     std::size_t lo, std::size_t hi) {
  const std::size_t end = hi < n ? hi : n;
  if (n == 0 || (lo < end && end - lo == n)) return -1.0f;
  const Distances distances{dot, norm, q_norm, n, lo, hi};
  const std::size_t group = (n + 64 * most_groups - 1) / (64 * most_groups) * 64;
  const auto all_count = [=](std::size_t from) { return from + group <= n && (lo >= end || from + group <= lo || from >= hi); };

  f32x16 nearest[most_groups];
  f32x16 overall = set1(3.4028234664e38f);
  for (std::size_t g = 0, from = 0; from < n; ++g, from += group) {
    nearest[g] = all_count(from) ? nearest_of<true>(distances, from, from + group, set1(3.4028234664e38f))
                                 : nearest_of<false>(distances, from, from + group, set1(3.4028234664e38f));
    overall = min(nearest[g], overall);
  }
  const float least = fold_min(overall);
  const float nearest_row = least > 0.0f ? least : 0.0f;
  const f32x16 m = set1(nearest_row), limit = set1(nearest_row + 20.0f / inv_tau), slope = set1(inv_tau);

  Sums sums = {set1(0.0f), set1(0.0f)};
  for (std::size_t g = 0, from = 0; from < n; ++g, from += group) {
    if (!any(at_most(nearest[g], limit))) continue;
    if (all_count(from))
      weigh<true>(distances, from, from + group, m, limit, slope, &sums);
    else
      weigh<false>(distances, from, from + group, m, limit, slope, &sums);
  }
  return fold(sums.weighted) / fold(sums.sum);
}

}  // namespace
