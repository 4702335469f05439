#include "bench/shapes.h"

#include "model/forward.h"

namespace sanderling::bench {

bool read_shapes(const char* path, std::vector<Shape>* shapes, Error* error) {
  GgufFile file;
  Config config = {};
  CalibrationKeys keys = {};
  if (!file.open(path, error) || !read_config(file, &config, &keys, error)) return false;
  const auto add = [shapes](const std::string& name, std::size_t N, std::size_t K, std::size_t times, std::size_t rows = 0) {
    for (Shape& shape : *shapes)
      if (shape.name == name && shape.N == N && shape.K == K) {
        shape.times += times;
        return;
      }
    shapes->push_back({name, N, K, times, rows});
  };
  for (std::size_t i = 0; i < file.n_tensors; ++i) {
    const GgufTensor& tensor = file.tensors[i];
    if (tensor.type != TensorType::i8 || is_calibration_tensor(tensor.name)) continue;
    std::string name = tensor.name;
    name.resize(name.rfind('.'));
    const bool block = name.compare(0, 4, "blk.") == 0;
    if (block) name.erase(0, name.find('.', 4) + 1);
    const std::size_t N = tensor.shape[0], K = tensor.shape[1];
    if (block && name == "qkv") {
      // Two products: a token skipped in dynamic mode needs K and V alone.
      add("q", N / 3, K, 1);
      add("kv", N / 3 * 2, K, 1);
    } else {
      add(name, N, K, 1);
    }
  }
  const MemoryShape memory = config.memory_shape(config.memory_tokens, 1);
  add("memory.metric", memory.metric, head_dim, metric_heads, block_queries);
  add("memory.raw", memory.raw, raw_samples[0], 1, block_queries);
  add("memory.short", memory.raw, raw_samples[1], 1, block_queries);
  return true;
}

}  // namespace sanderling::bench
