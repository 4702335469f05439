#include "kernels/kernels.h"
#include "kernels/lanes/avx512.h"
#include "kernels/qgemm/vnni512.inl"

namespace sanderling {

std::size_t qgemm_size_avx512vnni(std::size_t N, std::size_t K) { return offset4_size<4>(N, K); }

void qgemm_pack_avx512vnni(const std::int8_t* w, std::size_t N, std::size_t K, void* packed) {
  offset4_pack<4>(w, N, K, packed);
}

void qgemm_run_avx512vnni(const std::int8_t* a, const float* a_scale, const void* packed, const float* w_scale,
                          const float* bias, float* y, std::size_t ldy, std::size_t M, std::size_t N, std::size_t K,
                          bool add) {
  panels_run({a, a_scale, static_cast<const std::int8_t*>(packed), w_scale, bias, y, ldy, N, K, K, add}, M);
}

}  // namespace sanderling
