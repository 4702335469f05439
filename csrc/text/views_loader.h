// Finds and checks the keys and tensors of a file's views (docs/text_core.md, "Views").
#pragma once
#include "text_config.h"
#include "views.h"

namespace sanderling {

// Keys and tensors of the views begin so.
constexpr char views_prefix[] = "text.views.";
constexpr char views_threshold[] = "text.views.threshold";
constexpr char views_masks[] = "text.views.masks";  // optional: names of rules, a comma between two
constexpr char views_head[] = "text.views.head.bias";  // optional
constexpr char views_tensors[] = "views.";
constexpr char views_inner[] = "views.head.inner";  // optional: in a head that looks at inner layers
constexpr char views_texts[] = "views.texts";  // optional: the reference, for explanations; nothing here reads it

struct Views {
  MeaningView meaning;  // d == 0: none
  CharacterView characters;
  WordsView words;
  LookView look;
  Scale scales[4];  // by View
  HeadView head;    // weight == nullptr: none
  double threshold;
  unsigned masks;  // a bit a rule (mask.h)
};

// d: of the embedding; 0: a file without an encoder. n_inner: its layers but the last. The arrays stay in the file.
bool load_views(const GgufFile& file, std::size_t d, std::size_t n_inner, Views* views, Error* error);

}  // namespace sanderling
