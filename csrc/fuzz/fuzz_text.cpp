// A text encoder's loader and its tokenizer on any bytes: the file's length (4 bytes, little-endian), the file, a text. A file that
// loads must also tokenise and embed, and one with views must score.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "text/detector.h"

using namespace sanderling;

namespace {

void score(const std::uint8_t* file, std::size_t length, const char* text, std::size_t n) {
  Error error;
  TextDetector* const detector = text_detector_parse(file, length, nullptr, 0, &error);
  if (!detector) {
    if (error.status == Status::ok || !error.message[0]) std::abort();
    return;
  }
  TextScore found;
  text_score(detector, text, n, &found);
  if (!std::isfinite(found.score)) std::abort();
  text_detector_close(detector);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::size_t length = 0;
  for (std::size_t i = 0; i < 4 && i < size; ++i) length |= static_cast<std::size_t>(data[i]) << (8 * i);
  const std::size_t start = size < 4 ? size : 4;
  if (length > size - start) length = size - start;
  const char* const text = reinterpret_cast<const char*>(data + start + length);
  const std::size_t n = size - start - length;
  score(data + start, length, text, n);
  Error error;
  TextEncoder* const encoder = text_parse(data + start, length, nullptr, 0, &error);
  if (!encoder) {
    if (error.status == Status::ok || !error.message[0]) std::abort();
    return 0;
  }
  TextInfo info;
  text_info(encoder, &info);
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
