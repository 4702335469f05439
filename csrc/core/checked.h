// Size arithmetic that cannot wrap: a hostile file or an absurd request turns into `false`, never into a small number.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sanderling {

inline bool checked_add(std::uint64_t a, std::uint64_t b, std::uint64_t* out) {
  *out = a + b;
  return *out >= a;
}

inline bool checked_mul(std::uint64_t a, std::uint64_t b, std::uint64_t* out) {
  *out = a * b;
  return a == 0 || *out / a == b;
}

// The next multiple of `align` (a power of two).
inline bool checked_align(std::uint64_t x, std::uint64_t align, std::uint64_t* out) {
  if (!checked_add(x, align - 1, out)) return false;
  *out &= ~(align - 1);
  return true;
}

}  // namespace sanderling
