#include "tensor_loader.h"

#include <algorithm>
#include <iterator>

namespace sanderling {
namespace {

// The taps act eight levels deep without a norm between them.
constexpr float tap_limit = 16.0f;

void shape_text(char (&out)[96], TensorType type, std::uint32_t rank, const std::uint64_t* shape) {
  const struct {
    TensorType type;
    const char* name;
  } names[] = {{TensorType::f32, "F32"}, {TensorType::i8, "I8"}, {TensorType::i32, "I32"}, {TensorType::i64, "I64"}, {TensorType::f64, "F64"}};
  const auto* const named = std::find_if(std::begin(names), std::end(names), [=](const auto& entry) { return entry.type == type; });
  int n = std::snprintf(out, sizeof out, "%s (", named->name);
  for (std::uint32_t i = 0; i < rank && n > 0 && n < static_cast<int>(sizeof out); ++i)
    n += std::snprintf(out + n, sizeof out - static_cast<std::size_t>(n), i == 0 ? "%llu" : ", %llu", static_cast<unsigned long long>(shape[i]));
  if (n > 0 && n < static_cast<int>(sizeof out)) std::snprintf(out + n, sizeof out - static_cast<std::size_t>(n), ")");
}

class Loader : TensorLoader {
 public:
  Loader(Weights* weights, Error* error) : TensorLoader(*weights->kernels, weights->file, error), w_(weights) {}

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
      layer.head_dim = head_dim;
      const std::uint64_t width = layer.heads * head_dim;
      char name[32];
      const auto at = [&](const char* part) {
        std::snprintf(name, sizeof name, "blk.%u.%s", i, part);
        return name;
      };
      ok = norm(at("attn_norm"), d, &layer.attn_norm) && qkv(at("qkv"), width, d, &layer) &&
           f32(at("attn_bias"), {layer.heads, c.window}, &layer.attn_bias) && linear(at("out"), d, width, &layer.out) &&
           norm(at("ffn_norm"), d, &layer.ffn_norm) && linear(at("ffn_up"), layer.ffn, d, &layer.ffn_up) &&
           linear(at("ffn_down"), d, layer.ffn, &layer.ffn_down);
    }
    return ok && norm("norm", d, &w_->norm) && linear("metric", metric_heads * head_dim, d, &w_->metric) &&
           linear("graph.qkv", 3 * graph, d, &w_->graph_qkv) && linear("graph.out", d, graph, &w_->graph_out) &&
           norm("graph.norm", d, &w_->graph_norm) && f32("head.weight", {d, head_width}, &w_->head_weight) &&
           f32("head.bias", {head_width}, &w_->head_bias) && linear("scorer.fc1", c.scorer_hidden, d + 16, &w_->fc1) &&
           linear("scorer.fc2", 1, c.scorer_hidden, &w_->fc2) && f32("fusion.weight", {n_components}, &w_->fusion) && none_left();
  }

  bool fill() {
    w_->stored_bytes = stored_bytes_;
    w_->block = TensorLoader::fill(w_->layers, w_->config.n_layers);
    return w_->block != nullptr;
  }

 private:
  bool none_left() {
    std::size_t model = 0;
    for (std::size_t i = 0; i < file_.n_tensors; ++i) model += is_calibration_tensor(file_.tensors[i].name) ? 0 : 1;
    return model == n_tensors_ ||
           fail(error_, Status::model_format, "expected %zu tensors beside cal.*, found %zu; export the model again", n_tensors_, model);
  }

  Weights* w_;
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
