#include "layer.h"

namespace sanderling {

// The weights of what follows, where they are more than stay in L2 anyway.
static Ahead ahead_of(const KernelTable& kernels, const QLinear& linear) {
  constexpr std::size_t least = 1 << 17;
  const std::size_t bytes = kernels.qgemm_size(linear.N, linear.K);
  return {linear.packed, bytes < least ? 0 : bytes};
}

void LayerStep::attention_input(float* h, std::int8_t* q, float* scale, std::size_t n) const {
  kernels.norm_quantize(h, layer.attn_norm.gain, layer.attn_norm.bias, q, scale, n, d, eps, norm);
  const Norm& residual = layer.attn_residual;
  if (residual.gain != nullptr) kernels.layer_norm(h, residual.gain, residual.bias, h, n, d, eps);
}

void LayerStep::finish(const float* o, float* h, std::int8_t* q, float* scale, float* up, std::size_t n) const {
  const auto multiply = [&](const QLinear& linear, float* y, bool add) {
    kernels.qgemm_run(q, scale, linear.packed, linear.scale, linear.bias, y, linear.N, n, linear.N, linear.K, add);
  };
  kernels.quantize_rows(o, q, scale, n, layer.out.K);
  multiply(layer.out, h, true);
  kernels.norm_quantize(h, layer.ffn_norm.gain, layer.ffn_norm.bias, q, scale, n, d, eps, norm);
  const Norm& residual = layer.ffn_residual;
  if (residual.gain != nullptr) kernels.layer_norm(h, residual.gain, residual.bias, h, n, d, eps);
  multiply(layer.ffn_up, up, false);
  kernels.gelu_quantize(up, q, scale, n, layer.ffn, ahead_of(kernels, layer.ffn_down));
  multiply(layer.ffn_down, h, true);
}

}  // namespace sanderling
