// The soft minimum over the 16 virtual lanes; include after lanes/<isa>.h.
#include "kernels/lanes/exp32.inl"

namespace {

struct Distances {
  const float *dot, *norm;
  float q_norm;
  std::size_t n, lo, hi;

  SANDERLING_LANES f32x16 from(f32x16 dots, f32x16 norms, float q_norm) {
    return max(fma(set1(-2.0f), dots, add(set1(q_norm), norms)), set1(0.0f));
  }
  inline __attribute__((always_inline)) f32x16 at(std::size_t i) const {
    if (i + 16 <= n) return from(load(dot + i), norm ? load(norm + i) : set1(1.0f), q_norm);
    return from(load_first(dot + i, n - i), norm ? load_first(norm + i, n - i) : set1(1.0f), q_norm);
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

SANDERLING_LANES float softmin_lanes(const float* dot, const float* norm, float q_norm, std::size_t n, float inv_tau,
                                     std::size_t lo, std::size_t hi) {
  const std::size_t end = hi < n ? hi : n;
  if (n == 0 || (lo < end && end - lo == n)) return -1.0f;
  const Distances distances{dot, norm, q_norm, n, lo, hi};

  f32x16 nearest = set1(3.4028234664e38f);
  for (std::size_t i = 0; i < n; i += 16) {
    const f32x16 d = distances.at(i);
    nearest = min(distances.whole(i) ? d : select(distances.counted(i), d, nearest), nearest);
  }
  const f32x16 m = set1(fold_min(nearest));

  f32x16 weighted = set1(0.0f), sum = set1(0.0f);
  for (std::size_t i = 0; i < n; i += 16) {
    const f32x16 d = distances.at(i);
    f32x16 w = exp32(mul(sub(m, d), set1(inv_tau)));
    if (!distances.whole(i)) w = select(distances.counted(i), w, set1(0.0f));
    weighted = fma(w, d, weighted);
    sum = add(sum, w);
  }
  return fold(weighted) / fold(sum);
}

}  // namespace
