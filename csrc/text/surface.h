// The look of a cleaned text in 16 numbers (python/sanderling/text/surface.py names them).
#pragma once
#include <cstddef>

#include "clean.h"

namespace sanderling {

constexpr std::size_t surface_features = 16;

struct SurfaceWork {
  char32_t lowered[2 * cleaned_characters], sorted[cleaned_characters];
  struct Word {
    const char32_t* first;
    std::size_t n;
  } words[cleaned_characters / 2 + 1];
};

void surface_of(const char32_t* text, std::size_t n, SurfaceWork* work, double* out);  // out[surface_features]

}  // namespace sanderling
