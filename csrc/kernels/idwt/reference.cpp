#include "kernels/kernels.h"

namespace sanderling {
namespace {

inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }

template <typename T>
void synthesise(const IdwtArgs& args) {
  const T *lo = static_cast<const T*>(args.lo), *hi = static_cast<const T*>(args.hi);
  T* x = static_cast<T*>(args.x);
  for (std::size_t i = 0; i < args.n; ++i)
    for (std::size_t c = 0; c < args.lanes; ++c)
      for (std::size_t phase = 0; phase < 2; ++phase) {
        const T* a = static_cast<const T*>(args.a) + i * args.lanes + c;
        const T* d = static_cast<const T*>(args.d) + i * args.lanes + c;
        T y = fma(hi[phase], *d, lo[phase] * *a);
        for (std::size_t j = 2; j < args.taps; j += 2) {
          a -= args.lanes;
          d -= args.lanes;
          y = fma(lo[j + phase], *a, y);
          y = fma(hi[j + phase], *d, y);
        }
        x[(2 * i + phase) * args.lanes + c] = y;
      }
}

}  // namespace

void idwt_reference(const IdwtArgs& args) { args.wide ? synthesise<double>(args) : synthesise<float>(args); }

}  // namespace sanderling
