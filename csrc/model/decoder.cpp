#include <cmath>
#include <cstring>

#include "forward.h"

namespace sanderling {

// Section 5: at each patch a stream's channels (in dynamic mode those that are executed) attend to one another;
// p = [reconstruction | next patch | log b].
void Forward::decode() {
  const KernelTable& k = *weights->kernels;
  const std::size_t d = weights->config.d_model;
  project(z, weights->graph_qkv, r, executed);
  if (parts_[0].state->channels == 1) {
    // Graphs of one node, all patches at once: each sees itself, as a window of one token does.
    graph_heads(r, weights->graph_qkv.N, 0, executed);
    if (executed > 0) graph_attention(executed, 1, o);
  } else {
    for (const Part* part = parts_; part < parts_ + n_parts_; ++part)
      for (std::size_t t = 0; t < part->T; ++t) decode_patch(*part, t);
  }
  std::memcpy(a, z, executed * d * sizeof *a);
  project(o, weights->graph_out, a, executed, true);
  normalise(a, weights->graph_norm, a, executed);
  k.linear_f32(a, weights->head_weight, weights->head_bias, p, executed, d, head_width);
}

void Forward::decode_patch(const Part& part, std::size_t t) {
  const std::size_t width = weights->config.graph_heads * head_dim, all = 3 * width, T = part.T, first = part.row_of(0, t);
  std::size_t nodes = 0;
  if (executed == rows) {
    nodes = part.state->channels;
    graph_heads(r + first * all, T * all, 0, nodes);
  } else {
    for (std::size_t row = first; row < part.end(); row += T)
      if (!skipped[row]) graph_heads(r + slot[row] * all, all, nodes++, 1);
  }
  if (nodes == 0) return;
  graph_attention(nodes, 0, graph_out);
  const float* from = graph_out;
  for (std::size_t row = first; row < part.end(); row += T) {
    if (skipped[row]) continue;
    std::memcpy(o + slot[row] * width, from, width * sizeof *o);
    from += width;
  }
}

// n rows Q | K | V, `stride` floats apart, become the nodes from `at` on.
void Forward::graph_heads(const float* from, std::size_t stride, std::size_t at, std::size_t n) {
  const std::size_t H = weights->config.graph_heads, width = H * head_dim;
  std::int8_t* const to[] = {q_heads, k_heads, v_heads};
  float* const scale[] = {q_heads_scale, k_heads_scale, v_heads_scale};
  for (std::size_t i = 0; i < 3; ++i)
    weights->kernels->quantize_heads(from + i * width, stride, to[i] + at * width, width, scale[i] + at * H, H, n, H, head_dim);
}

void Forward::graph_attention(std::size_t nodes, std::size_t window, float* out) {
  weights->kernels->attention({q_heads, k_heads, v_heads, q_heads_scale, k_heads_scale, v_heads_scale, nullptr,
                               1.0f / std::sqrt(static_cast<float>(head_dim)), nodes, 0, weights->config.graph_heads, head_dim, window, out,
                               scratch_[0].attention});
}

}  // namespace sanderling
