#include "kernels/kernels.h"

namespace sanderling {
namespace {

inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }

template <typename T>
void analyse(const DwtArgs& args) {
  const T *lo = static_cast<const T*>(args.lo), *hi = static_cast<const T*>(args.hi);
  T *a = static_cast<T*>(args.a), *d = static_cast<T*>(args.d);
  for (std::size_t o = 0; o < args.n; ++o)
    for (std::size_t c = 0; c < args.lanes; ++c) {
      const T* x = static_cast<const T*>(args.x) + 2 * o * args.lanes + c;
      T smooth = lo[0] * *x, detail = hi[0] * *x;
      for (std::size_t j = 1; j < args.taps; ++j) {
        x -= args.lanes;
        smooth = fma(lo[j], *x, smooth);
        detail = fma(hi[j], *x, detail);
      }
      a[o * args.lanes + c] = smooth;
      d[o * args.lanes + c] = detail;
    }
}

}  // namespace

void dwt_reference(const DwtArgs& args) { args.wide ? analyse<double>(args) : analyse<float>(args); }

}  // namespace sanderling
