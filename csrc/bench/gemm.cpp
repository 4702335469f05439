#include "bench/gemm.h"

#include <cstdlib>
#include <cstring>

namespace sanderling::bench {
namespace {

// Knuth's MMIX generator: the same operands everywhere.
std::int8_t byte_of(std::uint64_t* state) {
  *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
  return static_cast<std::int8_t>(static_cast<int>((*state >> 33) % 255) - 127);
}

void* aligned(std::size_t bytes) { return std::aligned_alloc(64, (bytes + 63) / 64 * 64); }

}  // namespace

void Gemm::Free::operator()(void* p) const { std::free(p); }

Gemm::Gemm(const KernelTable& table, const std::vector<Shape>& shapes, std::size_t M, std::size_t resident) : table_(table), M_(M) {
  const auto add_all = [&] {
    for (const Shape& shape : shapes)
      for (std::size_t i = 0; i < shape.times; ++i) add(shape);
  };
  add_all();
  distinct_ = matrices_.size();
  for (const double once = bytes_; bytes_ + once <= static_cast<double>(resident);) add_all();
  std::size_t K = 0, N = 0;
  for (const Matrix& matrix : matrices_) {
    K = std::max(K, matrix.K);
    N = std::max(N, matrix.N);
  }
  std::uint64_t state = M;
  a_.resize(M * K);
  for (std::int8_t& v : a_) v = byte_of(&state);
  for (std::size_t m = 0; m < M; ++m) a_scale_.push_back(0.01f + 0.001f * static_cast<float>(m % 7));
  for (std::size_t n = 0; n < N; ++n) w_scale_.push_back(0.02f + 0.001f * static_cast<float>(n % 5));
  for (std::size_t n = 0; n < N; ++n) bias_.push_back(0.1f * static_cast<float>(n % 11));
  y_.resize(M * N);
}

void Gemm::add(const Shape& shape) {
  Matrix matrix{shape.N, shape.K, {}, nullptr};
  std::uint64_t state = matrices_.size();
  matrix.w.resize(shape.N * shape.K);
  for (std::int8_t& v : matrix.w) v = byte_of(&state);
  matrix.packed.reset(aligned(table_.qgemm_size(shape.N, shape.K)));
  table_.qgemm_pack(matrix.w.data(), shape.N, shape.K, matrix.packed.get());
  macs_ += static_cast<double>(M_) * static_cast<double>(shape.N * shape.K);
  bytes_ += static_cast<double>(shape.N * shape.K);
  matrices_.push_back(std::move(matrix));
}

void Gemm::multiply(const KernelTable& table, const Matrix& matrix, const void* packed) const {
  table.qgemm_run(a_.data(), a_scale_.data(), packed, w_scale_.data(), bias_.data(), y_.data(), matrix.N, M_, matrix.N, matrix.K, false);
}

bool Gemm::equals_reference() const {
  const KernelTable& oracle = *select_kernels("reference", nullptr);
  std::vector<float> want;
  for (std::size_t i = 0; i < distinct_; ++i) {
    const Matrix& matrix = matrices_[i];
    const std::unique_ptr<void, Free> plain(aligned(oracle.qgemm_size(matrix.N, matrix.K)));
    oracle.qgemm_pack(matrix.w.data(), matrix.N, matrix.K, plain.get());
    multiply(oracle, matrix, plain.get());
    want.assign(y_.begin(), y_.begin() + static_cast<std::ptrdiff_t>(M_ * matrix.N));
    multiply(table_, matrix, matrix.packed.get());
    if (std::memcmp(want.data(), y_.data(), want.size() * sizeof want[0]) != 0) return false;
  }
  return true;
}

void Gemm::run(std::size_t times) const {
  for (std::size_t i = 0; i < times; ++i)
    for (const Matrix& matrix : matrices_) multiply(table_, matrix, matrix.packed.get());
}

}  // namespace sanderling::bench
