// A text made ready (docs/text_model.md, "Cleaning"; python/sanderling/text/clean.py; its masking rules are mask.h).
#pragma once
#include <cstddef>

namespace sanderling {

constexpr std::size_t cleaned_characters = 4096;  // of a cleaned text, at most
constexpr std::size_t cleaned_bytes = 4 * cleaned_characters;  // that are read, and that its UTF-8 has at most

// Characters of UTF-8 text[0..n) into to[cleaned_characters]: blanks are one space, none at the ends. Returns their number.
std::size_t clean_text(const char* text, std::size_t n, char32_t* to);

}  // namespace sanderling
