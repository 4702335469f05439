// Scores of texts: a native file with sanderling.text.views.* (docs/text_core.md), alone or behind a text encoder's. Calibrated on the
// desk (python/sanderling/text/). No exceptions, no printing, and no memory taken after opening.
#pragma once
#include "text.h"

namespace sanderling {

enum View : std::size_t { meaning_view, characters_view, words_view, look_view, n_views };
extern const char* const view_names[n_views];

struct TextScore {
  double score;          // nats of surprise, with a head its logit; a multiple of 2^-20
  double nats[n_views];  // before the fusion; meaning: 0 without an encoder
  bool alarm;            // score above the threshold
};

struct TextDetectorInfo {
  bool meaning;  // has an encoder
  double threshold;
  std::uint64_t reference;  // texts
  char isa[24];
};

class TextDetector;

// Whether a file is for text_detector_open; false and an error when it is no GGUF file.
bool text_has_views(const char* path, bool* has, Error* error);

// isa, max_tokens as in text_open.
TextDetector* text_detector_open(const char* path, const char* isa, std::uint32_t max_tokens, Error* error);
TextDetector* text_detector_parse(const std::uint8_t* data, std::size_t size, const char* isa, std::uint32_t max_tokens, Error* error);
void text_detector_close(TextDetector* detector);  // nullptr is fine
void text_detector_info(const TextDetector* detector, TextDetectorInfo* info);

// Any bytes are a text; the first 16384 are read. One thread at a time.
void text_score(TextDetector* detector, const char* text, std::size_t n, TextScore* score);
// The UTF-8 of the last text, cleaned; not terminated.
const char* text_cleaned(const TextDetector* detector, std::size_t* bytes);

}  // namespace sanderling
