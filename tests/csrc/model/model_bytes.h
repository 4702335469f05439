// Native files with random weights, built byte by byte without the library, and recordings. Integer arithmetic and exact float
// operations only: the bytes are the same on every machine.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

struct Random {
  std::uint64_t state;
  std::uint32_t bits() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state >> 33);
  }
  // Uniform in [-1, 1) with 24 bits.
  float uniform() { return static_cast<float>(static_cast<std::int32_t>(bits() >> 7) - (1 << 23)) / 8388608.0f; }
  std::uint32_t below(std::uint32_t n) { return bits() % n; }
};

using Bytes = std::vector<std::uint8_t>;

struct TensorBytes {
  std::string name;
  std::uint32_t type;                 // 0 F32, 24 I8, 26 I32, 27 I64, 28 F64
  std::vector<std::uint64_t> shape;   // row-major
  Bytes data;
};

// A file to be spoilt: keys as finished entries, tensors with their data.
struct ModelBytes {
  std::vector<Bytes> keys;
  std::vector<TensorBytes> tensors;
  std::uint32_t version = 3;

  Bytes* key(const std::string& name);      // the entry, or nullptr
  TensorBytes* tensor(const std::string& name);
  Bytes finish() const;
  std::size_t header_size() const;          // up to the tensor data
};

struct Shape {
  std::uint32_t d = 32, scorer = 32, graph_heads = 2, levels = 5, memory_tokens = 512;
  std::vector<std::int32_t> heads{2, 1}, ffn{48, 32};
  float skip_level = 1.0f;
  std::uint32_t probe_every = 8;
};

ModelBytes random_model(const Shape& shape, std::uint64_t seed);

struct TextShape {
  std::uint32_t d = 64, head_dim = 32, positions = 48, window = 0;
  std::int32_t heads = 2, layers = 2, ffn = 96;
  std::string pooling = "mean";
};

// A text encoder whose vocabulary is the special tokens, ASCII's letters and digits, alone and inside words, and some words.
ModelBytes random_text(const TextShape& shape, std::uint64_t seed);

Bytes key_u32(const std::string& name, std::uint32_t value);
Bytes key_f32(const std::string& name, float value);
Bytes key_string(const std::string& name, const std::string& value);
Bytes key_array(const std::string& name, std::uint32_t item_type, std::uint64_t count, const Bytes& items);

// A recording [samples][channels]: slow waves, noise and steps of exact arithmetic; gaps: runs of NaN and Inf, shorter and longer
// than max_gap, also at the start.
std::vector<float> recording(std::size_t samples, std::size_t channels, std::uint64_t seed, bool gaps);

std::uint64_t hash_floats(const float* x, std::size_t n);   // FNV-1a over the bytes
