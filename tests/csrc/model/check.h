// Checks of the engine's tests: a failed one prints its place; the program's exit status says whether any failed.
#pragma once
#include <cstdio>

namespace check {

inline int passed = 0, failed = 0;

inline bool that(bool good, const char* what, const char* file, int line) {
  if (good) {
    ++passed;
    return true;
  }
  ++failed;
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what);
  return false;
}

inline int report(const char* isa) {
  if (failed != 0) return 1;
  std::printf("%d checks passed on ISA %s\n", passed, isa);
  passed = 0;
  return 0;
}

}  // namespace check

#define CHECK(condition) check::that((condition), #condition, __FILE__, __LINE__)
