// The benchmark's check of its answers: every tier's product passes, one whose lowest bit is wrong does not.
#include "bench/gemm.h"

#include <cstdint>
#include <cstring>

#include "check.h"

namespace {

using namespace sanderling;
using bench::Gemm;
using bench::Shape;

const KernelTable& reference() { return *select_kernels("reference", nullptr); }

// Of all its results the last one, by one unit in the last place.
void almost_right(const std::int8_t* a, const float* a_scale, const void* packed, const float* w_scale, const float* bias, float* y,
                  std::size_t stride, std::size_t M, std::size_t N, std::size_t K, bool accumulate) {
  reference().qgemm_run(a, a_scale, packed, w_scale, bias, y, stride, M, N, K, accumulate);
  std::uint32_t bits = 0;
  std::memcpy(&bits, &y[(M - 1) * stride + N - 1], sizeof bits);
  bits ^= 1;
  std::memcpy(&y[(M - 1) * stride + N - 1], &bits, sizeof bits);
}

}  // namespace

int main() {
  // Whole groups of channels and a tail, rows in two runs; of the shapes the wrong table spoils all.
  const std::vector<Shape> shapes = {{"whole", 32, 64, 1}, {"tail", 13, 16, 2}, {"runs", 17, 32, 1, 4}};
  std::size_t count = 0;
  const KernelTable* const* tables = kernel_tables(&count);
  int status = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (!tables[i]->supported()) continue;
    for (const std::size_t M : {1u, 5u}) {
      Gemm gemm(*tables[i], shapes, M, 1 << 14);
      CHECK(gemm.equals_reference(), "M = %zu", M);
      gemm.run(2);
      CHECK(gemm.equals_reference(), "M = %zu, after its runs", M);
      CHECK(gemm.macs() == gemm.bytes() * static_cast<double>(M), "M = %zu", M);
    }
    status |= check::report(tables[i]->isa);
  }
  KernelTable wrong = reference();
  wrong.qgemm_run = almost_right;
  for (const std::size_t M : {1u, 5u}) CHECK(!Gemm(wrong, shapes, M, 0).equals_reference(), "M = %zu", M);
  return status | check::report("any");
}
