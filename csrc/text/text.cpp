#include "text.h"

#include <cinttypes>
#include <cstdio>

#include "opening.h"

namespace sanderling {
TextEncoder* text_open(const char* path, const char* isa, std::uint32_t max_tokens, Error* error) {
  return open_text<TextEncoder>("encoder", path, isa, max_tokens, error);
}

TextEncoder* text_parse(const std::uint8_t* data, std::size_t size, const char* isa, std::uint32_t max_tokens, Error* error) {
  return parse_text<TextEncoder>("encoder", data, size, isa, max_tokens, error);
}

void text_close(TextEncoder* encoder) { delete encoder; }

void text_info(const TextEncoder* encoder, TextInfo* info) {
  const TextConfig& c = encoder->config;
  std::snprintf(info->variant, sizeof info->variant, "%s", c.variant);
  std::snprintf(info->isa, sizeof info->isa, "%s", encoder->kernels->isa);
  std::snprintf(info->pooling, sizeof info->pooling, "%s", c.mean_pooling ? "mean" : "cls");
  std::snprintf(info->tokenizer, sizeof info->tokenizer, "%016" PRIx64, encoder->tokenizer.hash());
  info->d_model = c.d_model;
  info->n_layers = c.n_layers;
  info->vocabulary = encoder->tokenizer.size();
  info->positions = c.positions;
  info->max_tokens = static_cast<std::uint32_t>(encoder->max_tokens);
  info->window = c.window;
  info->normalised = c.normalise;
  info->weight_bytes = encoder->stored_bytes;
}

std::size_t text_tokenize(const TextEncoder* encoder, const char* text, std::size_t n, std::uint32_t* ids) {
  return encoder->tokenizer.encode(text, n, encoder->max_tokens, ids);
}

const char* text_token(const TextEncoder* encoder, std::uint32_t id, std::size_t* bytes) {
  return id < encoder->tokenizer.size() ? encoder->tokenizer.token(id, bytes) : nullptr;
}

bool text_embed(TextEncoder* encoder, const std::uint32_t* ids, std::size_t n, float* out, Error* error) {
  if (n < 1 || n > encoder->max_tokens)
    return fail(error, Status::argument, "expected 1 to %zu tokens, found %zu; cut the text or open with more max_tokens", encoder->max_tokens, n);
  for (std::size_t i = 0; i < n; ++i)
    if (ids[i] >= encoder->tokenizer.size())
      return fail(error, Status::argument, "expected ids below %u (the vocabulary), found %u; use this model's tokenizer",
                  encoder->tokenizer.size(), ids[i]);
  encoder->embed(ids, n, out);
  return true;
}

void text_encode(TextEncoder* encoder, const char* text, std::size_t n, float* out, float* inner) {
  const std::size_t count = text_tokenize(encoder, text, n, encoder->ids);
  encoder->embed(encoder->ids, count, out, inner);
}

}  // namespace sanderling
