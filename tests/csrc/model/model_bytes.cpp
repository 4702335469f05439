#include "model_bytes.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

namespace {

template <typename T>
void put(Bytes* out, T value) {
  const auto* p = reinterpret_cast<const std::uint8_t*>(&value);
  out->insert(out->end(), p, p + sizeof value);
}

void put_string(Bytes* out, const std::string& text) {
  put<std::uint64_t>(out, text.size());
  out->insert(out->end(), text.begin(), text.end());
}

Bytes entry(const std::string& name, std::uint32_t type) {
  Bytes out;
  put_string(&out, name);
  put(&out, type);
  return out;
}

void align(Bytes* out) {
  out->resize((out->size() + 31) / 32 * 32);
}

Bytes integers(const std::vector<std::int32_t>& values) {
  Bytes out;
  for (const std::int32_t v : values) put(&out, v);
  return out;
}

class Builder {
 public:
  Builder(ModelBytes* model, std::uint64_t seed) : model_(model), random_{seed} {}

  void f32(const std::string& name, const std::vector<std::uint64_t>& shape, float center, float width) {
    TensorBytes t{name, 0, shape, {}};
    for (std::uint64_t i = 0; i < count(shape); ++i) put(&t.data, center + width * random_.uniform());
    model_->tensors.push_back(t);
  }

  void norm(const std::string& name, std::uint64_t d) {
    f32(name + ".weight", {d}, 1.0f, 0.25f);
    f32(name + ".bias", {d}, 0.0f, 0.25f);
  }

  // Uniform integers in [-127, 127] have deviation 73; the scale keeps a projection of unit inputs near unit size.
  void linear(const std::string& name, std::uint64_t N, std::uint64_t K) {
    TensorBytes t{name + ".weight", 24, {N, K}, {}};
    for (std::uint64_t i = 0; i < N * K; ++i)
      t.data.push_back(static_cast<std::uint8_t>(static_cast<std::int8_t>(static_cast<int>(random_.below(255)) - 127)));
    model_->tensors.push_back(t);
    const float scale = 1.0f / (73.0f * std::sqrt(static_cast<float>(K)));
    f32(name + ".scale", {N}, scale, 0.25f * scale);
    f32(name + ".bias", {N}, 0.0f, 0.125f);
  }

  static std::uint64_t count(const std::vector<std::uint64_t>& shape) {
    std::uint64_t n = 1;
    for (const std::uint64_t s : shape) n *= s;
    return n;
  }

 private:
  ModelBytes* model_;
  Random random_;
};

}  // namespace

Bytes key_u32(const std::string& name, std::uint32_t value) {
  Bytes out = entry(name, 4);
  put(&out, value);
  return out;
}

Bytes key_f32(const std::string& name, float value) {
  Bytes out = entry(name, 6);
  put(&out, value);
  return out;
}

Bytes key_string(const std::string& name, const std::string& value) {
  Bytes out = entry(name, 8);
  put_string(&out, value);
  return out;
}

Bytes key_array(const std::string& name, std::uint32_t item_type, std::uint64_t count, const Bytes& items) {
  Bytes out = entry(name, 9);
  put(&out, item_type);
  put(&out, count);
  out.insert(out.end(), items.begin(), items.end());
  return out;
}

ModelBytes random_model(const Shape& shape, std::uint64_t seed) {
  ModelBytes m;
  const std::string s = "sanderling.";
  m.keys = {key_string("general.architecture", "sanderling"), key_u32(s + "version", 1), key_string(s + "variant", "random"),
            key_u32(s + "patch", 8), key_u32(s + "levels", shape.levels), key_u32(s + "window", 16), key_u32(s + "d_model", shape.d),
            key_u32(s + "head_dim", 32), key_array(s + "n_heads", 5, shape.heads.size(), integers(shape.heads)),
            key_array(s + "ffn", 5, shape.ffn.size(), integers(shape.ffn)), key_u32(s + "graph_heads", shape.graph_heads),
            key_u32(s + "metric_heads", 2), key_u32(s + "scorer_hidden", shape.scorer), key_u32(s + "raw_window", 64),
            key_u32(s + "smooth", 4), key_u32(s + "top_k", 3), key_u32(s + "max_gap", 32), key_u32(s + "cold_samples", 512),
            key_u32(s + "memory_tokens", shape.memory_tokens), key_u32(s + "memory_budget", 8192),
            key_u32(s + "raw_rows", 80), key_u32(s + "raw_budget", 8192), key_u32(s + "loo_block", 16), key_u32(s + "probe_every", shape.probe_every),
            key_f32(s + "clip", 20.0f), key_f32(s + "metric_tau", 0.05f), key_f32(s + "raw_tau", 0.5f),
            key_f32(s + "skip_level", shape.skip_level)};
  Builder b(&m, seed);
  const std::uint64_t d = shape.d, graph = shape.graph_heads * 32u;
  TensorBytes taps{"wavelet.taps", 0, {2}, {}};
  put(&taps.data, 0.5f);
  put(&taps.data, 0.5f);
  m.tensors.push_back(taps);
  b.f32("embed.weight", {8 * (shape.levels + 3), d}, 0.0f, 0.25f);
  b.f32("embed.bias", {d}, 0.0f, 0.25f);
  for (std::size_t i = 0; i < shape.heads.size(); ++i) {
    const std::string blk = "blk." + std::to_string(i) + ".";
    const auto width = static_cast<std::uint64_t>(shape.heads[i]) * 32, ffn = static_cast<std::uint64_t>(shape.ffn[i]);
    b.norm(blk + "attn_norm", d);
    b.linear(blk + "qkv", 3 * width, d);
    b.f32(blk + "attn_bias", {width / 32, 16}, 0.0f, 1.0f);
    b.linear(blk + "out", d, width);
    b.norm(blk + "ffn_norm", d);
    b.linear(blk + "ffn_up", ffn, d);
    b.linear(blk + "ffn_down", d, ffn);
  }
  b.norm("norm", d);
  b.linear("metric", 64, d);
  b.linear("graph.qkv", 3 * graph, d);
  b.linear("graph.out", d, graph);
  b.norm("graph.norm", d);
  b.f32("head.weight", {d, 17}, 0.0f, 0.25f);
  b.f32("head.bias", {17}, 0.0f, 0.25f);
  b.linear("scorer.fc1", shape.scorer, d + 16);
  b.linear("scorer.fc2", 1, shape.scorer);
  b.f32("fusion.weight", {8}, 0.5f, 0.25f);
  return m;
}

ModelBytes random_text(const TextShape& shape, std::uint64_t seed) {
  std::vector<std::string> tokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "pump", "error", "##ing", "!", ".", ":", "\xc3\xa9"};
  for (const std::string before : {"", "##"})
    for (char c = '0'; c <= 'z'; c = c == '9' ? 'a' : static_cast<char>(c + 1)) tokens.push_back(before + c);
  Bytes strings;
  std::uint64_t hash = 14695981039346656037u;
  const auto add = [&](unsigned char c) { hash = (hash ^ c) * 1099511628211u; };
  for (int i = 0; i < 3; ++i) add(1);  // lower case, no accents, ideographs apart
  for (const std::string& token : tokens) {
    put_string(&strings, token);
    for (const char c : token) add(static_cast<unsigned char>(c));
    add(0);
  }
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(hash));

  ModelBytes m;
  const std::string s = "sanderling.text.", ggml = "tokenizer.ggml.";
  const auto layers = static_cast<std::size_t>(shape.layers);
  m.keys = {key_string("general.architecture", "sanderling"), key_u32("sanderling.version", 1), key_string("sanderling.variant", "random"),
            key_u32(s + "d_model", shape.d), key_u32(s + "head_dim", shape.head_dim), key_u32(s + "positions", shape.positions),
            key_u32(s + "token_types", 2), key_u32(s + "max_tokens", shape.positions), key_u32(s + "window", shape.window),
            key_u32(s + "lowercase", 1), key_u32(s + "strip_accents", 1), key_u32(s + "split_ideographs", 1), key_u32(s + "normalise", 1),
            key_f32(s + "eps", 1e-12f), key_string(s + "pooling", shape.pooling),
            key_array(s + "n_heads", 5, layers, integers(std::vector<std::int32_t>(layers, shape.heads))),
            key_array(s + "ffn", 5, layers, integers(std::vector<std::int32_t>(layers, shape.ffn))), key_string(s + "tokenizer", hex),
            key_string(ggml + "model", "bert"), key_array(ggml + "tokens", 8, tokens.size(), strings)};
  const char* const special[] = {"padding", "unknown", "cls", "seperator", "mask"};
  for (std::uint32_t i = 0; i < 5; ++i) m.keys.push_back(key_u32(ggml + special[i] + "_token_id", i));

  Builder b(&m, seed);
  const std::uint64_t d = shape.d, width = static_cast<std::uint64_t>(shape.heads) * shape.head_dim, ffn = static_cast<std::uint64_t>(shape.ffn);
  b.linear("token_embd", tokens.size(), d);
  m.tensors.pop_back();  // embeddings have no bias
  b.f32("position_embd.weight", {shape.positions, d}, 0.0f, 0.5f);
  b.f32("token_types.weight", {2, d}, 0.0f, 0.5f);
  for (std::size_t i = 0; i < layers; ++i) {
    const std::string blk = "blk." + std::to_string(i) + ".";
    b.norm(blk + "attn_norm", d);
    b.norm(blk + "attn_residual", d);
    b.linear(blk + "qkv", 3 * width, d);
    b.linear(blk + "out", d, width);
    b.norm(blk + "ffn_norm", d);
    b.norm(blk + "ffn_residual", d);
    b.linear(blk + "ffn_up", ffn, d);
    b.linear(blk + "ffn_down", d, ffn);
  }
  b.norm("norm", d);
  return m;
}

Bytes* ModelBytes::key(const std::string& name) {
  Bytes start;
  put_string(&start, name);
  for (Bytes& k : keys)
    if (k.size() > start.size() && std::memcmp(k.data(), start.data(), start.size()) == 0) return &k;
  return nullptr;
}

TensorBytes* ModelBytes::tensor(const std::string& name) {
  for (TensorBytes& t : tensors)
    if (t.name == name) return &t;
  return nullptr;
}

Bytes ModelBytes::finish() const {
  Bytes out{'G', 'G', 'U', 'F'};
  put(&out, version);
  put<std::uint64_t>(&out, tensors.size());
  put<std::uint64_t>(&out, keys.size());
  for (const Bytes& k : keys) out.insert(out.end(), k.begin(), k.end());
  std::uint64_t offset = 0;
  for (const TensorBytes& t : tensors) {
    put_string(&out, t.name);
    put<std::uint32_t>(&out, static_cast<std::uint32_t>(t.shape.size()));
    for (std::size_t i = t.shape.size(); i > 0; --i) put(&out, t.shape[i - 1]);
    put(&out, t.type);
    put(&out, offset);
    offset += (t.data.size() + 31) / 32 * 32;
  }
  align(&out);
  for (const TensorBytes& t : tensors) {
    out.insert(out.end(), t.data.begin(), t.data.end());
    align(&out);
  }
  return out;
}

std::size_t ModelBytes::header_size() const {
  std::size_t data = 0;
  for (const TensorBytes& t : tensors) data += (t.data.size() + 31) / 32 * 32;
  return finish().size() - data;
}

std::vector<float> recording(std::size_t samples, std::size_t channels, std::uint64_t seed, bool gaps) {
  Random random{seed};
  std::vector<float> x(samples * channels);
  for (std::size_t c = 0; c < channels; ++c) {
    const std::size_t period = 24 + 8 * (c % 5);
    // Of the channel, not of the seed: recordings of one machine share them.
    Random machine{c + 1};
    const float location = 100.0f * machine.uniform(), spread = c % 7 == 6 ? 0.0f : 4.0f + 3.0f * machine.uniform();
    for (std::size_t t = 0; t < samples; ++t) {
      const float phase = static_cast<float>((t + 3 * c) % period) / static_cast<float>(period);
      const float wave = (phase < 0.5f ? 4.0f * phase - 1.0f : 3.0f - 4.0f * phase) + 0.25f * random.uniform();
      const float event = t % 997 > 980 ? 6.0f : 0.0f;
      x[t * channels + c] = location + spread * (wave + event);
    }
  }
  if (!gaps) return x;
  // Run lengths: one sample, max_gap, one more, a patch and more than a patch; every third channel starts missing.
  const std::size_t runs[] = {1, 32, 33, 8, 70};
  for (std::size_t c = 0; c < channels; c += 2) {
    std::size_t t = c % 3 == 0 ? 0 : 5 + random.below(60);
    for (std::size_t i = 0; t < samples; ++i) {
      const float missing = i % 3 == 1 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
      for (std::size_t k = 0; k < runs[i % 5] && t < samples; ++k, ++t) x[t * channels + c] = missing;
      t += 30 + random.below(120);
    }
  }
  return x;
}

std::uint64_t hash_floats(const float* x, std::size_t n) {
  std::uint64_t hash = 14695981039346656037u;
  const auto* p = reinterpret_cast<const std::uint8_t*>(x);
  for (std::size_t i = 0; i < n * sizeof *x; ++i) hash = (hash ^ p[i]) * 1099511628211u;
  return hash;
}
