#include <cmath>
#include <cstring>

#include "forward.h"

namespace sanderling {

// Section 5: at each patch the channels attend to one another; p = [reconstruction | next patch | log b].
void Forward::decode() {
  const KernelTable& k = *weights->kernels;
  const std::size_t H = weights->config.graph_heads, width = H * head_dim, d = weights->config.d_model;
  project(z, weights->graph_qkv, r);
  k.quantize_rows(r, r8, r_scale, rows * 3 * H, head_dim);
  for (std::size_t t = 0; t < T; ++t) {
    for (std::size_t c = 0; c < channels; ++c) {
      const std::int8_t* from = r8 + (c * T + t) * 3 * width;
      const float* from_s = r_scale + (c * T + t) * 3 * H;
      std::memcpy(q_heads + c * width, from, width);
      std::memcpy(k_heads + c * width, from + width, width);
      std::memcpy(v_heads + c * width, from + 2 * width, width);
      std::memcpy(q_heads_scale + c * H, from_s, H * sizeof *from_s);
      std::memcpy(k_heads_scale + c * H, from_s + H, H * sizeof *from_s);
      std::memcpy(v_heads_scale + c * H, from_s + 2 * H, H * sizeof *from_s);
    }
    k.attention({q_heads, k_heads, v_heads, q_heads_scale, k_heads_scale, v_heads_scale, nullptr,
                 1.0f / std::sqrt(static_cast<float>(head_dim)), channels, 0, H, head_dim, 0, graph_out, attention_floats});
    for (std::size_t c = 0; c < channels; ++c)
      std::memcpy(o + (c * T + t) * width, graph_out + c * width, width * sizeof *o);
  }
  project(o, weights->graph_out, a);
  add(a, z, rows * d);
  normalise(a, weights->graph_norm, a);
  k.linear_f32(a, weights->head_weight, weights->head_bias, p, rows, d, head_width);
}

}  // namespace sanderling
