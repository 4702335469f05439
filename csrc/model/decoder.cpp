#include <cmath>
#include <cstring>

#include "forward.h"

namespace sanderling {

// Section 5: at each patch the channels (in dynamic mode those that are executed) attend to one another; p = [reconstruction | next patch | log b].
void Forward::decode() {
  const KernelTable& k = *weights->kernels;
  const std::size_t H = weights->config.graph_heads, width = H * head_dim, d = weights->config.d_model;
  project(z, weights->graph_qkv, r, executed);
  k.quantize_rows(r, r8, r_scale, executed * 3 * H, head_dim);
  for (std::size_t t = 0; t < T; ++t) {
    std::size_t nodes = 0;
    for (std::size_t row = t; row < rows; row += T) {
      if (skipped[row]) continue;
      const std::int8_t* from = r8 + slot[row] * 3 * width;
      const float* from_s = r_scale + slot[row] * 3 * H;
      std::memcpy(q_heads + nodes * width, from, width);
      std::memcpy(k_heads + nodes * width, from + width, width);
      std::memcpy(v_heads + nodes * width, from + 2 * width, width);
      std::memcpy(q_heads_scale + nodes * H, from_s, H * sizeof *from_s);
      std::memcpy(k_heads_scale + nodes * H, from_s + H, H * sizeof *from_s);
      std::memcpy(v_heads_scale + nodes * H, from_s + 2 * H, H * sizeof *from_s);
      ++nodes;
    }
    if (nodes == 0) continue;
    k.attention({q_heads, k_heads, v_heads, q_heads_scale, k_heads_scale, v_heads_scale, nullptr,
                 1.0f / std::sqrt(static_cast<float>(head_dim)), nodes, 0, H, head_dim, 0, graph_out, attention_floats});
    const float* from = graph_out;
    for (std::size_t row = t; row < rows; row += T) {
      if (skipped[row]) continue;
      std::memcpy(o + slot[row] * width, from, width * sizeof *o);
      from += width;
    }
  }
  std::memcpy(a, z, executed * d * sizeof *a);
  project(o, weights->graph_out, a, executed, true);
  normalise(a, weights->graph_norm, a, executed);
  k.linear_f32(a, weights->head_weight, weights->head_bias, p, executed, d, head_width);
}

}  // namespace sanderling
