// One product of a tier on given shapes: its operands, its answer against the reference, and its time.
#pragma once
#include <memory>
#include <vector>

#include "bench/sample.h"
#include "bench/shapes.h"
#include "kernels/kernels.h"

namespace sanderling::bench {

// One shape with copies of its weights, or the matrices of a whole model, run one after another: `resident` bytes of weights, so
// that they come from the cache that holds them and not from L1. Rows are taken as many at once as the engine does.
class Gemm {
 public:
  Gemm(const KernelTable& table, const std::vector<Shape>& shapes, std::size_t M, std::size_t resident);

  // Whether each shape's product equals the reference bit for bit.
  bool equals_reference() const;
  void run(std::size_t times) const;  // every matrix once each time

  double macs() const { return macs_; }    // of one time
  double bytes() const { return bytes_; }  // weights read in one time
  Sample sample;

 private:
  struct Free {
    void operator()(void* p) const;
  };
  struct Matrix {
    std::size_t N, K, rows;
    std::vector<std::int8_t> w;
    std::unique_ptr<void, Free> packed;
  };
  void add(const Shape& shape);
  // Rows [first, first + rows) of a into y from its start.
  void multiply(const KernelTable& table, const Matrix& matrix, const void* packed, std::size_t first, std::size_t rows) const;

  const KernelTable& table_;
  std::size_t M_;
  double macs_ = 0.0, bytes_ = 0.0;
  std::vector<Matrix> matrices_;
  std::size_t distinct_ = 0;  // the first ones; the others are shaped like them
  // Aligned as the engine's arrays are.
  std::unique_ptr<void, Free> a_, a_scale_, w_scale_, bias_, y_;
};

}  // namespace sanderling::bench
