// WordPiece as BERT has it (Devlin et al. 2019), on the vocabulary of a native file; equal to the `tokenizers` package's
// BertWordPieceTokenizer, token by token (docs/text_core.md).
//
// Text is UTF-8; what isn't becomes U+FFFD, which is removed like other control characters. A special token written out in the text is
// that token. Nothing is allocated after load, and no text is too long: reading stops when the tokens are full.
#pragma once
#include "../core/gguf.h"
#include "../core/memory.h"
#include "unicode.h"

namespace sanderling {

struct TokenizerOptions {
  bool lowercase, strip_accents, split_ideographs;
};

class Tokenizer {
 public:
  static constexpr std::size_t max_word = 100;       // characters; a longer word is unknown
  static constexpr std::uint64_t max_vocabulary = 1u << 20;

  Tokenizer() = default;
  ~Tokenizer() { block_free(block_); }
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Reads tokenizer.ggml.*; the tokens' bytes stay in the file.
  bool load(const GgufFile& file, const TokenizerOptions& options, Error* error);

  // The ids of text[0..n), [CLS] and [SEP] around them: at most max_tokens >= 2, the last ones cut off. Returns their number.
  std::size_t encode(const char* text, std::size_t n, std::size_t max_tokens, std::uint32_t* ids) const;

  std::uint32_t size() const { return size_; }
  const char* token(std::uint32_t id, std::size_t* bytes) const;
  std::uint32_t padding() const { return special_[pad]; }
  // FNV-1a (64 bits) of the options' three bytes (0 or 1), each token's bytes and a zero byte: which tokenizer a model was made with.
  std::uint64_t hash() const { return hash_; }

 private:
  enum Special { unk, cls, sep, pad, mask, n_special };
  friend class Splitter;

  bool index(Error* error);
  std::uint32_t find(std::uint64_t hash, const unsigned char* text, std::size_t n, const char* before) const;
  // Ids of a word, or one unknown; no more than `room`.
  std::size_t pieces(const unsigned char* word, std::size_t bytes, std::size_t room, std::uint32_t* ids) const;
  // The special token that text starts with, or n_special.
  Special special_at(const unsigned char* text, std::size_t n) const;

  TokenizerOptions options_ = {};
  const std::uint8_t* strings_ = nullptr;  // length (8 bytes), bytes, ...
  std::uint32_t size_ = 0, special_[n_special] = {}, slots_ = 0;
  std::uint32_t* offset_ = nullptr;        // [size] of a token's length in strings_
  std::uint32_t* table_ = nullptr;         // [slots] id + 1 by hash; 0: free
  std::size_t longest_ = 0;                // bytes of a token
  std::uint64_t hash_ = 0;
  void* block_ = nullptr;
};

}  // namespace sanderling
