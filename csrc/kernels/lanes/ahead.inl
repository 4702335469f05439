// The lines of an Ahead, a few a step; include after lanes/<isa>.h, which says how one is brought.
#pragma once
#include "kernels/kernels.h"

namespace {

// Three lines a step of 32 GELUs are what the second cache takes in meanwhile; with six the step waits for them.
constexpr std::size_t ahead_line = 64, ahead_most = 3;

struct AheadLines {
  const std::uint8_t *next, *end;
  std::size_t each;  // a step

  AheadLines(sanderling::Ahead ahead, std::size_t steps)
      : next(static_cast<const std::uint8_t*>(ahead.from)), end(next + ahead.bytes) {
    const std::size_t even = (ahead.bytes / ahead_line + steps - 1) / steps;
    each = even < ahead_most ? even : ahead_most;
  }

  inline __attribute__((always_inline)) void bring() {
    for (std::size_t i = 0; i < each && next < end; ++i, next += ahead_line) bring_line(next);
  }
};

}  // namespace
