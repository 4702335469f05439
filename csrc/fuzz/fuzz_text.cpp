// A text encoder's loader and its tokenizer on any bytes: the file's length (4 bytes, little-endian), the file, a text. A file that
// loads must also tokenise and embed.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "text/text.h"

using namespace sanderling;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::size_t length = 0;
  for (std::size_t i = 0; i < 4 && i < size; ++i) length |= static_cast<std::size_t>(data[i]) << (8 * i);
  const std::size_t start = size < 4 ? size : 4;
  if (length > size - start) length = size - start;
  Error error;
  TextEncoder* const encoder = text_parse(data + start, length, nullptr, 0, &error);
  if (!encoder) {
    if (error.status == Status::ok || !error.message[0]) std::abort();
    return 0;
  }
  TextInfo info;
  text_info(encoder, &info);
  const char* const text = reinterpret_cast<const char*>(data + start + length);
  const std::size_t n = size - start - length;
  std::vector<std::uint32_t> ids(info.max_tokens);
  const std::size_t count = text_tokenize(encoder, text, n, ids.data());
  if (count < 2 || count > info.max_tokens) std::abort();
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t bytes = 0;
    if (!text_token(encoder, ids[i], &bytes) || bytes == 0) std::abort();
  }
  std::vector<float> row(info.d_model);
  if (!text_embed(encoder, ids.data(), count, row.data(), &error)) std::abort();
  for (const float x : row)
    if (!std::isfinite(x)) std::abort();
  text_close(encoder);
  return 0;
}
