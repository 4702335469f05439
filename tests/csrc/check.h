// The check macros of the C++ tests. CHECK counts; a failure prints file, line, the expression and its context and goes on, at
// most 20 times. finish() prints the last line and gives main's exit code.
#pragma once
#include <cstdarg>
#include <cstdio>

namespace check {

inline unsigned long passed = 0;
inline unsigned long failed = 0;

inline bool record(bool ok, const char* file, int line, const char* expression) {
  if (ok) {
    ++passed;
    return true;
  }
  if (++failed <= 20) std::printf("%s:%d: failed: %s\n", file, line, expression);
  return false;
}

__attribute__((format(printf, 1, 2))) inline void context(const char* format, ...) {
  if (failed > 20) return;
  std::va_list args;
  va_start(args, format);
  std::printf("    ");
  std::vprintf(format, args);
  std::printf("\n");
  va_end(args);
}

// `N checks passed on ISA <name>`; returns the exit code and starts the next count.
inline int finish(const char* isa) {
  const bool ok = failed == 0 && passed > 0;
  if (ok)
    std::printf("%lu checks passed on ISA %s\n", passed, isa);
  else
    std::printf("%lu of %lu checks FAILED on ISA %s\n", failed, passed + failed, isa);
  std::fflush(stdout);
  passed = failed = 0;
  return ok ? 0 : 1;
}

}  // namespace check

// CHECK(condition, "printf context", ...)
#define CHECK(condition, ...)                                              \
  do {                                                                     \
    if (!check::record((condition), __FILE__, __LINE__, #condition)) check::context(__VA_ARGS__); \
  } while (0)
