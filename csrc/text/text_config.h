// The keys of a text encoder's file (docs/text_core.md), typed and checked.
#pragma once
#include "../model/config.h"
#include "tokenizer.h"

namespace sanderling {

struct TextConfig {
  char variant[64];
  char hash[64];            // of the tokenizer that the model was made with
  std::uint32_t d_model, head_dim, positions, token_types, max_tokens;
  std::uint32_t window;     // 0: every token sees all; else those less than `window` away
  bool mean_pooling;        // else the first token's
  bool normalise;
  float eps;
  TokenizerOptions tokenizer;
  std::uint32_t n_layers, n_heads[max_layers], ffn[max_layers];
};

bool read_text_config(const GgufFile& file, TextConfig* config, Error* error);

}  // namespace sanderling
