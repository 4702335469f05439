// Finds, checks, copies and packs the tensors of a native file: first every tensor is found and checked, then memory of the measured
// size is taken and filled. A kind of model derives from it and names its tensors (weights.cpp, text/text_weights.cpp).
#pragma once
#include <cstdio>
#include <cstring>

#include "../core/memory.h"
#include "weights.h"

namespace sanderling {

class TensorLoader {
 protected:
  // Larger weights are no trained model's. The bound keeps every value of the forward pass finite: projections then stay below
  // 1e25, and a layer norm whose variance overflows returns its bias.
  static constexpr float weight_limit = 1e4f;

  struct Shape {
    std::uint32_t rank;
    std::uint64_t size[2];
    Shape(std::uint64_t a) : rank(1), size{a, 1} {}
    Shape(std::uint64_t a, std::uint64_t b) : rank(2), size{a, b} {}
  };

  TensorLoader(const KernelTable& kernels, const GgufFile& file, Error* error) : kernels_(kernels), file_(file), error_(error) {}

  const GgufTensor* find(const char* name, TensorType type, const Shape& shape) {
    const GgufTensor* tensor = file_.find_tensor(name);
    if (!expect_tensor(tensor, name, type, shape.rank, shape.size, error_)) return nullptr;
    stored_bytes_ += tensor->bytes;
    ++n_tensors_;
    return tensor;
  }

  bool f32(const char* name, const Shape& shape, const float** target, float least = -weight_limit, float most = weight_limit) {
    const GgufTensor* tensor = find(name, TensorType::f32, shape);
    if (tensor == nullptr || !expect_f32(*tensor, least, most, error_)) return false;
    floats_[n_floats_++] = {target, tensor};
    return true;
  }

  bool norm(const char* name, std::uint64_t d, Norm* target) {
    char part[64];
    std::snprintf(part, sizeof part, "%s.weight", name);
    if (!f32(part, {d}, &target->gain)) return false;
    std::snprintf(part, sizeof part, "%s.bias", name);
    return f32(part, {d}, &target->bias);
  }

  // X.weight (INT8), X.scale and X.bias.
  bool linear(const char* name, std::uint64_t N, std::uint64_t K, QLinear* target) {
    char part[64];
    std::snprintf(part, sizeof part, "%s.weight", name);
    const GgufTensor* tensor = find(part, TensorType::i8, {N, K});
    if (tensor == nullptr || !expect_i8(*tensor, error_)) return false;
    target->N = static_cast<std::size_t>(N);
    target->K = static_cast<std::size_t>(K);
    matrices_[n_matrices_++] = {target, tensor, 0};
    std::snprintf(part, sizeof part, "%s.scale", name);
    if (!f32(part, {N}, &target->scale, 0.0f)) return false;
    std::snprintf(part, sizeof part, "%s.bias", name);
    return f32(part, {N}, &target->bias);
  }

  // One tensor, two matrices: a token skipped in dynamic mode needs K and V alone.
  bool qkv(const char* name, std::uint64_t width, std::uint64_t K, Layer* layer) {
    if (!linear(name, 3 * width, K, &layer->q)) return false;
    layer->q.N = static_cast<std::size_t>(width);
    layer->kv = {2 * layer->q.N, layer->q.K, nullptr, nullptr, nullptr};
    const GgufTensor* tensor = matrices_[n_matrices_ - 1].tensor;
    matrices_[n_matrices_++] = {&layer->kv, tensor, layer->q.N};
    return true;
  }

  // Copies and packs what was found; the block, or nullptr with the error said.
  void* fill(Layer* layers, std::size_t n_layers) {
    void* block = place_block([this](Arena& arena) {
      for (std::size_t i = 0; i < n_floats_; ++i) {
        float* copy = arena.take<float>(floats_[i].tensor->bytes / sizeof(float));
        if (copy != nullptr) std::memcpy(copy, floats_[i].tensor->data, floats_[i].tensor->bytes);
        *floats_[i].target = copy;
      }
      for (std::size_t i = 0; i < n_matrices_; ++i) {
        QLinear& m = *matrices_[i].target;
        m.packed = arena.take<std::uint8_t>(kernels_.qgemm_size(m.N, m.K));
        const auto* rows = reinterpret_cast<const std::int8_t*>(matrices_[i].tensor->data) + matrices_[i].first * m.K;
        if (m.packed != nullptr) kernels_.qgemm_pack(rows, m.N, m.K, m.packed);
      }
    });
    if (block == nullptr) fail(error_, Status::memory, "expected memory for the model's weights, found less; free some");
    for (std::size_t i = 0; i < n_layers; ++i) {
      Layer& layer = layers[i];
      layer.kv.scale = layer.q.scale + layer.q.N;
      layer.kv.bias = layer.q.bias + layer.q.N;
    }
    return block;
  }

  const KernelTable& kernels_;
  const GgufFile& file_;
  Error* error_;
  std::uint64_t stored_bytes_ = 0;
  std::size_t n_tensors_ = 0;  // every tensor found counts once: equal counts mean that nothing else is in the file

 private:
  struct Float {
    const float** target;
    const GgufTensor* tensor;
  };
  struct Matrix {
    QLinear* target;
    const GgufTensor* tensor;
    std::size_t first;  // row of the tensor
  };

  Float floats_[17 * max_layers + 20] = {};
  Matrix matrices_[5 * max_layers + 5] = {};
  std::size_t n_floats_ = 0, n_matrices_ = 0;
};

}  // namespace sanderling
