#include "encoder.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "../core/math.h"
#include "../model/tensor_loader.h"
#include "views_loader.h"

namespace sanderling {
namespace {

// Rows that go through a layer's FFN together: their widest activations stay in a second-level cache.
constexpr std::size_t block_rows = 128;

}  // namespace

class TextEncoder::Loader : TensorLoader {
 public:
  Loader(TextEncoder* encoder, Error* error) : TensorLoader(*encoder->kernels, encoder->file, error), e_(encoder) {}

  bool find_all() {
    const TextConfig& c = e_->config;
    const std::uint64_t d = c.d_model, vocabulary = e_->tokenizer.size();
    const GgufTensor* tokens = find("token_embd.weight", TensorType::i8, {vocabulary, d});
    if (tokens == nullptr || !expect_i8(*tokens, error_)) return false;
    e_->tokens_ = reinterpret_cast<const std::int8_t*>(tokens->data);
    bool ok = f32("token_embd.scale", {vocabulary}, &e_->token_scale_, 0.0f) && f32("position_embd.weight", {c.positions, d}, &e_->position_) &&
              f32("token_types.weight", {c.token_types, d}, &e_->type_);
    for (std::uint32_t i = 0; ok && i < c.n_layers; ++i) {
      Layer& layer = e_->layers_[i];
      layer.heads = c.n_heads[i];
      layer.ffn = c.ffn[i];
      layer.head_dim = c.head_dim;
      const std::uint64_t width = layer.heads * layer.head_dim;
      char name[40];
      const auto at = [&](const char* part) {
        std::snprintf(name, sizeof name, "blk.%u.%s", i, part);
        return name;
      };
      ok = norm(at("attn_norm"), d, &layer.attn_norm) && norm(at("attn_residual"), d, &layer.attn_residual) && qkv(at("qkv"), width, d, &layer) &&
           linear(at("out"), d, width, &layer.out) && norm(at("ffn_norm"), d, &layer.ffn_norm) &&
           norm(at("ffn_residual"), d, &layer.ffn_residual) && linear(at("ffn_up"), layer.ffn, d, &layer.ffn_up) &&
           linear(at("ffn_down"), d, layer.ffn, &layer.ffn_down);
    }
    std::size_t own = 0;
    for (std::size_t i = 0; i < file_.n_tensors; ++i)
      own += std::strncmp(file_.tensors[i].name, views_tensors, sizeof views_tensors - 1) != 0;
    return ok && norm("norm", d, &e_->last_) &&
           (n_tensors_ == own || fail(error_, Status::model_format, "expected %zu tensors, found %zu; export the model again", n_tensors_, own));
  }

  bool fill() {
    e_->stored_bytes = stored_bytes_;
    e_->block_ = TensorLoader::fill(e_->layers_, e_->config.n_layers);
    return e_->block_ != nullptr;
  }

 private:
  TextEncoder* e_;
};

TextEncoder::~TextEncoder() {
  block_free(block_);
  block_free(scratch_);
}

bool TextEncoder::load(std::uint32_t wanted, Error* error) {
  if (!read_text_config(file, &config, error) || !tokenizer.load(file, config.tokenizer, error)) return false;
  char hash[17];
  std::snprintf(hash, sizeof hash, "%016" PRIx64, tokenizer.hash());
  if (std::strcmp(hash, config.hash) != 0)
    return fail(error, Status::model_format, "expected the tokenizer %s that the model was made with, found %s; export model and tokenizer together",
                config.hash, hash);
  if (wanted > config.positions || wanted == 1)
    return fail(error, Status::argument, "expected max_tokens of 2 to %u (the model's positions), found %u; change it", config.positions, wanted);
  max_tokens = wanted == 0 ? config.max_tokens : wanted;
  Loader loader(this, error);
  if (!loader.find_all() || !loader.fill()) return false;
  file.release_pages();
  scratch_ = place_block([this](Arena& arena) { place(arena); });
  if (scratch_ == nullptr) return fail(error, Status::memory, "expected memory for texts of %zu tokens, found less; give a smaller max_tokens", max_tokens);
  const std::size_t d = config.d_model;
  for (std::size_t i = 0; i < max_tokens * d; ++i) place_[i] = position_[i] + type_[i % d];
  return true;
}

void TextEncoder::place(Arena& arena) {
  std::size_t heads = 0, width = 0, ffn = 0;
  for (std::uint32_t i = 0; i < config.n_layers; ++i) {
    heads = std::max(heads, layers_[i].heads);
    ffn = std::max(ffn, layers_[i].ffn);
  }
  width = heads * config.head_dim;
  const std::size_t n = max_tokens, d = config.d_model, block = std::min(n, block_rows);
  ids = arena.take<std::uint32_t>(n);
  place_ = arena.take<float>(n * d);
  h_ = arena.take<float>(n * d);
  o_ = arena.take<float>(n * width);
  r_ = arena.take<float>(block * std::max(3 * width, ffn));
  norm_ = arena.take<float>(norm_quantize_rows * d);
  work_ = arena.take<float>(attention_full_work(n, config.head_dim));
  q8_ = arena.take<std::int8_t>(block * std::max({d, width, ffn}));
  scale_ = arena.take<float>(block);
  q_ = arena.take<std::int8_t>(n * width);
  k_ = arena.take<std::int8_t>(n * width);
  v_ = arena.take<std::int8_t>(n * width);
  q_scale_ = arena.take<float>(n * heads);
  k_scale_ = arena.take<float>(n * heads);
  v_scale_ = arena.take<float>(n * heads);
}

void TextEncoder::look_up(const std::uint32_t* from, std::size_t n) {
  const std::size_t d = config.d_model;
  for (std::size_t t = 0; t < n; ++t) {
    const std::int8_t* row = tokens_ + from[t] * d;
    const float scale = token_scale_[from[t]];
    for (std::size_t i = 0; i < d; ++i) h_[t * d + i] = static_cast<float>(row[i]) * scale + place_[t * d + i];
  }
}

void TextEncoder::attend(const Layer& layer, std::size_t n) {
  const std::size_t H = layer.heads, D = layer.head_dim, width = H * D, reach = config.window;
  const float inv_sqrt_d = 1.0f / std::sqrt(static_cast<float>(D));
  const auto run = [&](std::size_t t, std::size_t count, std::size_t lo, std::size_t keys) {
    kernels->attention({q_ + t * width, k_ + lo * width, v_ + lo * width, q_scale_ + t * H, k_scale_ + lo * H, v_scale_ + lo * H, nullptr,
                        inv_sqrt_d, count, keys - count, H, D, 0, o_ + t * width, work_});
  };
  if (reach == 0 || reach >= n) return run(0, n, 0, n);
  // The kernel's windows look back only: here each query has its own range of keys.
  for (std::size_t t = 0; t < n; ++t) {
    const std::size_t lo = t + 1 > reach ? t + 1 - reach : 0, hi = std::min(n, t + reach);
    run(t, 1, lo, hi - lo);
  }
}

// mean: [d] of the layer's input over the tokens, which post-LN's opening norm completes; nullptr: not wanted.
void TextEncoder::run_layer(const Layer& layer, std::size_t n, float* mean) {
  const KernelTable& k = *kernels;
  const std::size_t d = config.d_model, H = layer.heads, D = layer.head_dim, width = H * D;
  const LayerStep step{k, layer, d, config.eps, norm_};
  for (std::size_t t = 0; t < n; t += block_rows) {
    const std::size_t rows = std::min(block_rows, n - t);
    step.attention_input(h_ + t * d, q8_, scale_, rows);
    k.qgemm_run(q8_, scale_, layer.q.packed, layer.q.scale, layer.q.bias, r_, width, rows, width, d, false);
    k.quantize_heads(r_, width, q_ + t * width, width, q_scale_ + t * H, H, rows, H, D);
    k.qgemm_run(q8_, scale_, layer.kv.packed, layer.kv.scale, layer.kv.bias, r_, 2 * width, rows, 2 * width, d, false);
    k.quantize_heads(r_, 2 * width, k_ + t * width, width, k_scale_ + t * H, H, rows, H, D);
    k.quantize_heads(r_ + width, 2 * width, v_ + t * width, width, v_scale_ + t * H, H, rows, H, D);
  }
  if (mean != nullptr) mean_of_tokens(n, mean);
  attend(layer, n);
  for (std::size_t t = 0; t < n; t += block_rows)
    step.finish(o_ + t * width, h_ + t * d, q8_, scale_, r_, std::min(block_rows, n - t));
}

void TextEncoder::mean_of_tokens(std::size_t n, float* out) const {
  const std::size_t d = config.d_model;
  std::copy_n(h_, d, out);
  for (std::size_t t = 1; t < n; ++t)
    for (std::size_t i = 0; i < d; ++i) out[i] += h_[t * d + i];
  for (std::size_t i = 0; i < d; ++i) out[i] /= static_cast<float>(n);
}

void TextEncoder::pool(std::size_t n, float* out) const {
  const std::size_t d = config.d_model;
  if (config.mean_pooling) mean_of_tokens(n, out);
  else std::copy_n(h_, d, out);
  if (!config.normalise) return;
  const float length = std::max(std::sqrt(lane_sum_squares(out, d, 0.0f)), 1e-12f);
  for (std::size_t i = 0; i < d; ++i) out[i] /= length;
}

void TextEncoder::embed(const std::uint32_t* from, std::size_t n, float* out, float* inner) {
  look_up(from, n);
  for (std::uint32_t i = 0; i < config.n_layers; ++i)
    run_layer(layers_[i], n, inner == nullptr || i == 0 ? nullptr : inner + (i - 1) * config.d_model);
  kernels->layer_norm(h_, last_.gain, last_.bias, h_, n, config.d_model, config.eps);
  pool(n, out);
}

}  // namespace sanderling
