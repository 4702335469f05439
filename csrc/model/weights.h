// The typed model: a checked native file, its float tensors copied, its INT8 matrices packed for the running ISA.
#pragma once
#include <atomic>

#include "../kernels/kernels.h"
#include "config.h"

namespace sanderling {

// y = x W^T * scales + bias, W [N][K] INT8 packed by KernelTable::qgemm_pack.
struct QLinear {
  std::size_t N, K;
  void* packed;
  const float *scale, *bias;  // [N]
};

struct Norm {
  const float *gain, *bias;  // [d]
};

// A transformer layer's options (layer.h). Post-LN: the norms before attention and FFN are those that closed the parts before, and the
// sums go on from *_residual's results; pre-LN: those have no gain, and the sums go on as they are.
struct Layer {
  std::size_t heads, ffn, head_dim;
  Norm attn_norm, ffn_norm;
  Norm attn_residual, ffn_residual;      // gain nullptr: pre-LN
  QLinear q, kv, out, ffn_up, ffn_down;  // q, kv: the rows of the file's qkv
  const float* attn_bias;  // [heads][window], or nullptr
};

// Shared by a model and the models calibrated from it, hence counted.
struct Weights {
  std::atomic<int> references{1};
  const KernelTable* kernels = nullptr;
  GgufFile file;          // kept: model_save copies the model's part from it
  Config config = {};
  std::uint64_t stored_bytes = 0;  // of the model's tensors, as stored

  std::size_t n_taps = 0;
  const float* taps = nullptr;
  const float *embed_weight = nullptr, *embed_bias = nullptr;  // [feature_width][d], [d]
  Layer layers[max_layers] = {};
  Norm norm = {}, graph_norm = {};
  QLinear metric = {}, graph_qkv = {}, graph_out = {}, fc1 = {}, fc2 = {};
  const float *head_weight = nullptr, *head_bias = nullptr;  // [d][17], [17]
  const float* fusion = nullptr;                             // [8]
  void* block = nullptr;

  // The widest of the projections' outputs, in floats a row, and of their inputs, in bytes a row.
  std::size_t widest_output() const;
  std::size_t widest_input() const;

  ~Weights();
};

// Tensors that begin so belong to the calibration.
bool is_calibration_tensor(const char* name);

// Whether the tensor has this type and shape; an error naming both otherwise. nullptr (not found) is an error as well.
bool expect_tensor(const GgufTensor* tensor, const char* name, TensorType type, std::uint32_t rank, const std::uint64_t* shape, Error* error);
// Whether every value is finite and lies in [least, most].
bool expect_f32(const GgufTensor& tensor, float least, float most, Error* error);
bool expect_i8(const GgufTensor& tensor, Error* error);

// Reads `weights->file` by `weights->config` with `weights->kernels`, all three set.
bool load_weights(Weights* weights, Error* error);

}  // namespace sanderling
