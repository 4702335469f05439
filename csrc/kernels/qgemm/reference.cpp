#include "kernels/kernels.h"
#include "kernels/lanes/scalar.h"

namespace sanderling {

std::size_t qgemm_size_reference(std::size_t N, std::size_t K) { return N * K; }

void qgemm_pack_reference(const std::int8_t* w, std::size_t N, std::size_t K, void* packed) {
  std::int8_t* out = static_cast<std::int8_t*>(packed);
  for (std::size_t i = 0; i < N * K; ++i) out[i] = w[i];
}

void qgemm_run_reference(const std::int8_t* a, const float* a_scale, const void* packed, const float* w_scale,
                         const float* bias, float* y, std::size_t ldy, std::size_t M, std::size_t N, std::size_t K,
                         bool add) {
  const std::int8_t* w = static_cast<const std::int8_t*>(packed);
  for (std::size_t m = 0; m < M; ++m)
    for (std::size_t n = 0; n < N; ++n) {
      std::int32_t acc = 0;
      for (std::size_t k = 0; k < K; ++k) acc += a[m * K + k] * w[n * K + k];
      const float value = fma(static_cast<float>(acc), a_scale[m] * w_scale[n], bias ? bias[n] : 0.0f);
      y[m * ldy + n] = add ? y[m * ldy + n] + value : value;
    }
}

}  // namespace sanderling
