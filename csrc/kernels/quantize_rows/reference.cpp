#include "kernels/kernels.h"
#include "kernels/lanes/scalar.h"

namespace sanderling {

void quantize_rows_reference(const float* x, std::int8_t* q, float* scale, std::size_t rows, std::size_t K) {
  for (std::size_t row = 0; row < rows; ++row, x += K, q += K) {
    float amax = 0.0f;
    for (std::size_t i = 0; i < K; ++i) amax = larger(__builtin_fabsf(x[i]), amax);
    const bool empty = amax < 0x1p-100f;
    scale[row] = empty ? 0.0f : amax / 127.0f;
    const float inv = empty ? 0.0f : 127.0f / amax;
    for (std::size_t i = 0; i < K; ++i) {
      const float v = smaller(larger(x[i] * inv, -127.0f), 127.0f);
      q[i] = static_cast<std::int8_t>(rne(v));
    }
  }
}

}  // namespace sanderling
