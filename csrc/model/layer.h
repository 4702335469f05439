// A transformer layer around its attention, for rows of any origin: signals' tokens (encoder.cpp) and texts' (text/encoder.cpp).
#pragma once
#include "weights.h"

namespace sanderling {

// What the steps of a layer need beside it. norm: scratch of norm_quantize_rows * d floats.
struct LayerStep {
  const KernelTable& kernels;
  const Layer& layer;
  std::size_t d;
  float eps;
  float* norm;

  // h [n][d] -> q, scale: the rows that q, kv multiply. Post-LN: h becomes what the residual sum goes on from.
  void attention_input(float* h, std::int8_t* q, float* scale, std::size_t n) const;
  // o [n][heads * head_dim] -> h: what follows the attention. q [n][max(out.K, ffn)], scale [n], up [n][ffn]: scratch.
  void finish(const float* o, float* h, std::int8_t* q, float* scale, float* up, std::size_t n) const;
};

}  // namespace sanderling
