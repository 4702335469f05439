#include "bench/gemm.h"

#include <algorithm>
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
  const auto floats = [](std::unique_ptr<void, Free>* to, std::size_t n, float from, float step, std::size_t period) {
    to->reset(aligned(n * sizeof(float)));
    for (std::size_t i = 0; i < n; ++i) static_cast<float*>(to->get())[i] = from + step * static_cast<float>(i % period);
  };
  a_.reset(aligned(M * K));
  for (std::size_t i = 0; i < M * K; ++i) static_cast<std::int8_t*>(a_.get())[i] = byte_of(&state);
  floats(&a_scale_, M, 0.01f, 0.001f, 7);
  floats(&w_scale_, N, 0.02f, 0.001f, 5);
  floats(&bias_, N, 0.0f, 0.1f, 11);
  floats(&y_, M * ((N + 15) / 16 * 16), 0.0f, 0.0f, 1);
}

void Gemm::add(const Shape& shape) {
  Matrix matrix{shape.N, shape.K, shape.rows ? shape.rows : M_, {}, nullptr};
  std::uint64_t state = matrices_.size();
  matrix.w.resize(shape.N * shape.K);
  for (std::int8_t& v : matrix.w) v = byte_of(&state);
  matrix.packed.reset(aligned(table_.qgemm_size(shape.N, shape.K)));
  table_.qgemm_pack(matrix.w.data(), shape.N, shape.K, matrix.packed.get());
  macs_ += static_cast<double>(M_) * static_cast<double>(shape.N * shape.K);
  bytes_ += static_cast<double>(shape.N * shape.K);
  matrices_.push_back(std::move(matrix));
}

void Gemm::multiply(const KernelTable& table, const Matrix& matrix, const void* packed, std::size_t first, std::size_t rows) const {
  const auto floats = [](const std::unique_ptr<void, Free>& of) { return static_cast<float*>(of.get()); };
  const std::size_t stride = (matrix.N + 15) / 16 * 16;
  table.qgemm_run(static_cast<const std::int8_t*>(a_.get()) + first * matrix.K, floats(a_scale_) + first, packed, floats(w_scale_),
                  floats(bias_), floats(y_), stride, rows, matrix.N, matrix.K, false);
}

bool Gemm::equals_reference() const {
  const KernelTable& oracle = *select_kernels("reference", nullptr);
  std::vector<float> want;
  for (std::size_t i = 0; i < distinct_; ++i) {
    const Matrix& matrix = matrices_[i];
    const std::unique_ptr<void, Free> plain(aligned(oracle.qgemm_size(matrix.N, matrix.K)));
    oracle.qgemm_pack(matrix.w.data(), matrix.N, matrix.K, plain.get());
    multiply(oracle, matrix, plain.get(), 0, M_);
    const float* y = static_cast<const float*>(y_.get());
    want.assign(y, y + M_ * ((matrix.N + 15) / 16 * 16));
    multiply(table_, matrix, matrix.packed.get(), 0, M_);
    if (std::memcmp(want.data(), y, want.size() * sizeof want[0]) != 0) return false;
  }
  return true;
}

void Gemm::run(std::size_t times) const {
  for (std::size_t i = 0; i < times; ++i)
    for (const Matrix& matrix : matrices_)
      for (std::size_t m = 0; m < M_; m += matrix.rows) multiply(table_, matrix, matrix.packed.get(), m, std::min(matrix.rows, M_ - m));
}

}  // namespace sanderling::bench
