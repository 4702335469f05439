// Text encoders: a native file with sanderling.text.* (docs/text_core.md), its tokenizer, and embeddings of texts. The layers are
// those of the engine (model/layer.h); no exceptions, no printing, and no memory taken after opening.
#pragma once
#include "../model/engine.h"

namespace sanderling {

struct TextInfo {
  char variant[64], isa[24], pooling[8], tokenizer[17];  // tokenizer: hash, hexadecimal
  std::uint32_t d_model, n_layers, vocabulary, positions, max_tokens, window;
  bool normalised;             // embeddings of length 1
  std::uint64_t weight_bytes;  // as stored, embeddings included
};

class TextEncoder;

// isa as in model_open. max_tokens: of a text, [CLS] and [SEP] included; 0: the file's. At most the file's positions.
TextEncoder* text_open(const char* path, const char* isa, std::uint32_t max_tokens, Error* error);
TextEncoder* text_parse(const std::uint8_t* data, std::size_t size, const char* isa, std::uint32_t max_tokens, Error* error);
void text_close(TextEncoder* encoder);  // nullptr is fine
void text_info(const TextEncoder* encoder, TextInfo* info);

// The ids of UTF-8 text[0..n), at most max_tokens of them; ids has room for so many. Returns their number, at least 2. Any bytes are a
// text, the empty one too (text/tokenizer.h).
std::size_t text_tokenize(const TextEncoder* encoder, const char* text, std::size_t n, std::uint32_t* ids);
// The token of an id, not terminated; nullptr beyond the vocabulary.
const char* text_token(const TextEncoder* encoder, std::uint32_t id, std::size_t* bytes);

// The embedding of n ids, 1 <= n <= max_tokens: out[d_model]. One thread at a time: the encoder's scratch is its own.
bool text_embed(TextEncoder* encoder, const std::uint32_t* ids, std::size_t n, float* out, Error* error);
// Both: out[d_model] of a text. inner: nullptr, or [n_layers - 1][d_model] for the means over the tokens of what all layers but the last
// put out, first layer first.
void text_encode(TextEncoder* encoder, const char* text, std::size_t n, float* out, float* inner = nullptr);

}  // namespace sanderling
