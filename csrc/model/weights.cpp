#include "weights.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "../core/memory.h"

namespace sanderling {
namespace {

// Larger weights are no trained model's. The bound keeps every value of the forward pass finite: projections then stay below
// 1e25, and a layer norm whose variance overflows returns its bias.
constexpr float weight_limit = 1e4f;
// The taps act eight levels deep without a norm between them.
constexpr float tap_limit = 16.0f;

void shape_text(char (&out)[96], TensorType type, std::uint32_t rank, const std::uint64_t* shape) {
  const char* name = type == TensorType::f32 ? "F32" : type == TensorType::i8 ? "I8" : "I32";
  int n = std::snprintf(out, sizeof out, "%s (", name);
  for (std::uint32_t i = 0; i < rank && n > 0 && n < static_cast<int>(sizeof out); ++i)
    n += std::snprintf(out + n, sizeof out - static_cast<std::size_t>(n), i == 0 ? "%llu" : ", %llu", static_cast<unsigned long long>(shape[i]));
  if (n > 0 && n < static_cast<int>(sizeof out)) std::snprintf(out + n, sizeof out - static_cast<std::size_t>(n), ")");
}

// First every tensor is found and checked, then memory of the measured size is taken and filled.
class Loader {
 public:
  Loader(Weights* weights, Error* error) : w_(weights), file_(weights->file), error_(error) {}

  bool find_all() {
    const Config& c = w_->config;
    const std::uint64_t d = c.d_model, graph = c.graph_heads * head_dim;
    const GgufTensor* taps = file_.find_tensor("wavelet.taps");
    w_->n_taps = taps == nullptr ? 0 : static_cast<std::size_t>(taps->shape[0]);
    if (taps != nullptr && (taps->shape[0] < 2 || taps->shape[0] > 8))
      return fail(error_, Status::model_format, "expected 2 to 8 wavelet.taps, found %llu; export the model again",
                  static_cast<unsigned long long>(taps->shape[0]));
    bool ok = f32("wavelet.taps", {w_->n_taps}, &w_->taps, -tap_limit, tap_limit) &&
              f32("embed.weight", {c.feature_width(), d}, &w_->embed_weight) && f32("embed.bias", {d}, &w_->embed_bias);
    for (std::uint32_t i = 0; ok && i < c.n_layers; ++i) {
      Layer& layer = w_->layers[i];
      layer.heads = c.n_heads[i];
      layer.ffn = c.ffn[i];
      const std::uint64_t width = layer.heads * head_dim;
      char name[32];
      const auto at = [&](const char* part) {
        std::snprintf(name, sizeof name, "blk.%u.%s", i, part);
        return name;
      };
      ok = norm(at("attn_norm"), &layer.attn_norm) && qkv(at("qkv"), width, d, &layer) &&
           f32(at("attn_bias"), {layer.heads, c.window}, &layer.attn_bias) && linear(at("out"), d, width, &layer.out) &&
           norm(at("ffn_norm"), &layer.ffn_norm) && linear(at("ffn_up"), layer.ffn, d, &layer.ffn_up) &&
           linear(at("ffn_down"), d, layer.ffn, &layer.ffn_down);
    }
    return ok && norm("norm", &w_->norm) && linear("metric", metric_heads * head_dim, d, &w_->metric) &&
           linear("graph.qkv", 3 * graph, d, &w_->graph_qkv) && linear("graph.out", d, graph, &w_->graph_out) &&
           norm("graph.norm", &w_->graph_norm) && f32("head.weight", {d, head_width}, &w_->head_weight) &&
           f32("head.bias", {head_width}, &w_->head_bias) && linear("scorer.fc1", c.scorer_hidden, d + 16, &w_->fc1) &&
           linear("scorer.fc2", 1, c.scorer_hidden, &w_->fc2) && f32("fusion.weight", {n_components}, &w_->fusion) && none_left();
  }

  bool fill() {
    w_->block = place_block([this](Arena& arena) {
      for (std::size_t i = 0; i < n_floats_; ++i) {
        float* copy = arena.take<float>(floats_[i].tensor->bytes / sizeof(float));
        if (copy != nullptr) std::memcpy(copy, floats_[i].tensor->data, floats_[i].tensor->bytes);
        *floats_[i].target = copy;
      }
      for (std::size_t i = 0; i < n_matrices_; ++i) {
        QLinear& m = *matrices_[i].target;
        m.packed = arena.take<std::uint8_t>(w_->kernels->qgemm_size(m.N, m.K));
        const auto* rows = reinterpret_cast<const std::int8_t*>(matrices_[i].tensor->data) + matrices_[i].first * m.K;
        if (m.packed != nullptr) w_->kernels->qgemm_pack(rows, m.N, m.K, m.packed);
      }
    });
    for (std::uint32_t i = 0; i < w_->config.n_layers; ++i) {
      Layer& layer = w_->layers[i];
      layer.kv.scale = layer.q.scale + layer.q.N;
      layer.kv.bias = layer.q.bias + layer.q.N;
    }
    return w_->block != nullptr || fail(error_, Status::memory, "expected memory for the model's weights, found less; free some");
  }

 private:
  struct Shape {
    std::uint32_t rank;
    std::uint64_t size[2];
    Shape(std::uint64_t a) : rank(1), size{a, 1} {}
    Shape(std::uint64_t a, std::uint64_t b) : rank(2), size{a, b} {}
  };

  const GgufTensor* find(const char* name, TensorType type, const Shape& shape) {
    const GgufTensor* tensor = file_.find_tensor(name);
    if (!expect_tensor(tensor, name, type, shape.rank, shape.size, error_)) return nullptr;
    w_->stored_bytes += tensor->bytes;
    return tensor;
  }

  bool f32(const char* name, const Shape& shape, const float** target, float least = -weight_limit, float most = weight_limit) {
    const GgufTensor* tensor = find(name, TensorType::f32, shape);
    if (tensor == nullptr || !expect_f32(*tensor, least, most, error_)) return false;
    floats_[n_floats_++] = {target, tensor};
    ++n_tensors_;
    return true;
  }

  bool norm(const char* name, Norm* target) {
    char part[64];
    std::snprintf(part, sizeof part, "%s.weight", name);
    if (!f32(part, {w_->config.d_model}, &target->gain)) return false;
    std::snprintf(part, sizeof part, "%s.bias", name);
    return f32(part, {w_->config.d_model}, &target->bias);
  }

  bool linear(const char* name, std::uint64_t N, std::uint64_t K, QLinear* target) {
    char part[64];
    std::snprintf(part, sizeof part, "%s.weight", name);
    const GgufTensor* tensor = find(part, TensorType::i8, {N, K});
    if (tensor == nullptr || !expect_i8(*tensor, error_)) return false;
    target->N = static_cast<std::size_t>(N);
    target->K = static_cast<std::size_t>(K);
    matrices_[n_matrices_++] = {target, tensor, 0};
    ++n_tensors_;
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

  // Every tensor found counts once, so equal counts mean that nothing else is in the file.
  bool none_left() {
    std::size_t model = 0;
    for (std::size_t i = 0; i < file_.n_tensors; ++i) model += is_calibration_tensor(file_.tensors[i].name) ? 0 : 1;
    return model == n_tensors_ ||
           fail(error_, Status::model_format, "expected %zu tensors beside cal.*, found %zu; export the model again", n_tensors_, model);
  }

  struct Float {
    const float** target;
    const GgufTensor* tensor;
  };
  struct Matrix {
    QLinear* target;
    const GgufTensor* tensor;
    std::size_t first;  // row of the tensor
  };

  Weights* w_;
  const GgufFile& file_;
  Error* error_;
  Float floats_[13 * max_layers + 20] = {};
  Matrix matrices_[5 * max_layers + 5] = {};
  std::size_t n_floats_ = 0, n_matrices_ = 0, n_tensors_ = 0;
};

}  // namespace

bool is_calibration_tensor(const char* name) { return std::strncmp(name, "cal.", 4) == 0; }

bool expect_tensor(const GgufTensor* tensor, const char* name, TensorType type, std::uint32_t rank, const std::uint64_t* shape, Error* error) {
  char expected[96], found[96];
  shape_text(expected, type, rank, shape);
  if (tensor == nullptr)
    return fail(error, Status::model_format, "expected the tensor %s %s, found none; export the model again", name, expected);
  if (tensor->type == type && tensor->rank == rank && std::equal(shape, shape + rank, tensor->shape)) return true;
  shape_text(found, tensor->type, tensor->rank, tensor->shape);
  return fail(error, Status::model_format, "expected %s to be %s, found %s; export the model again", name, expected, found);
}

bool expect_f32(const GgufTensor& tensor, float least, float most, Error* error) {
  for (std::uint64_t i = 0; i < tensor.bytes; i += sizeof(float)) {
    float v;
    std::memcpy(&v, tensor.data + i, sizeof v);
    if (!(v >= least && v <= most))  // NaN fails too
      return fail(error, Status::model_format, "expected the values of %s between %g and %g, found %g; export the model again",
                  tensor.name, static_cast<double>(least), static_cast<double>(most), static_cast<double>(v));
  }
  return true;
}

bool expect_i8(const GgufTensor& tensor, Error* error) {
  return std::memchr(tensor.data, 0x80, tensor.bytes) == nullptr ||
         fail(error, Status::model_format, "expected the values of %s in [-127, 127], found -128; export the model again", tensor.name);
}

bool load_weights(Weights* weights, Error* error) {
  Loader loader(weights, error);
  return loader.find_all() && loader.fill();
}

std::size_t Weights::widest_output() const {
  std::size_t n = std::max({metric.N, graph_qkv.N, fc1.N});
  for (std::uint32_t i = 0; i < config.n_layers; ++i) n = std::max({n, layers[i].q.N + layers[i].kv.N, layers[i].ffn});
  return n;
}

std::size_t Weights::widest_input() const {
  std::size_t n = std::max({graph_qkv.N, fc1.K, fc2.K, raw_window});
  for (std::uint32_t i = 0; i < config.n_layers; ++i) n = std::max({n, layers[i].q.N + layers[i].kv.N, layers[i].ffn});
  return n;
}

Weights::~Weights() { block_free(block); }

}  // namespace sanderling
