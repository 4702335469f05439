// What the opaque TextEncoder of text.h is: weights, tokenizer and the scratch of one text.
#pragma once
#include "../model/layer.h"
#include "text.h"
#include "text_config.h"

namespace sanderling {

class TextEncoder {
 public:
  ~TextEncoder();
  TextEncoder& source() { return *this; }  // of opening.h

  // Reads `file` by `config` with `kernels`, all three set; max_tokens 0: the file's.
  bool load(std::uint32_t max_tokens, Error* error);
  // inner: as of text_encode.
  void embed(const std::uint32_t* ids, std::size_t n, float* out, float* inner = nullptr);

  const KernelTable* kernels = nullptr;
  GgufFile file;
  TextConfig config = {};
  Tokenizer tokenizer;
  std::uint64_t stored_bytes = 0;
  std::size_t max_tokens = 0;
  std::uint32_t* ids = nullptr;  // [max_tokens]

 private:
  class Loader;

  void look_up(const std::uint32_t* ids, std::size_t n);
  void attend(const Layer& layer, std::size_t n);
  void run_layer(const Layer& layer, std::size_t n, float* mean);
  void mean_of_tokens(std::size_t n, float* out) const;
  void pool(std::size_t n, float* out) const;
  void place(Arena& arena);

  Layer layers_[max_layers] = {};
  Norm last_ = {};                       // of the last layer's sums
  const std::int8_t* tokens_ = nullptr;  // [vocabulary][d], in the file
  const float *token_scale_ = nullptr, *position_ = nullptr, *type_ = nullptr;  // [vocabulary], [positions][d], [token_types][d]
  void *block_ = nullptr, *scratch_ = nullptr;

  float *place_ = nullptr;               // [max_tokens][d]: position + token type 0
  float *h_ = nullptr, *r_ = nullptr, *o_ = nullptr, *norm_ = nullptr, *work_ = nullptr;
  std::int8_t *q8_ = nullptr, *q_ = nullptr, *k_ = nullptr, *v_ = nullptr;
  float *scale_ = nullptr, *q_scale_ = nullptr, *k_scale_ = nullptr, *v_scale_ = nullptr;
};

}  // namespace sanderling
