// The check macro of the C++ tests. CHECK counts and is true when the condition is; a failure prints file, line, the expression and
// its context and goes on, at most 20 times. report() prints the last line and gives main's exit code.
#pragma once
#include <cstdarg>
#include <cstddef>
#include <cstdio>

#include "kernels/kernels.h"

namespace check {

inline unsigned long passed = 0;
inline unsigned long failed = 0;

inline bool pass() {
  ++passed;
  return true;
}

// The format starts with the indentation of its line; nothing follows where a check has no context.
__attribute__((format(printf, 4, 5))) inline bool fail(const char* file, int line, const char* expression, const char* format, ...) {
  if (++failed > 20) return false;
  std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, expression);
  std::va_list args;
  va_start(args, format);
  std::vfprintf(stderr, format, args);
  va_end(args);
  std::fprintf(stderr, "\n");
  return false;
}

// `N checks passed on ISA <name>`; returns the exit code and starts the next count.
inline int report(const char* isa) {
  const bool ok = failed == 0 && passed > 0;
  if (ok)
    std::printf("%lu checks passed on ISA %s\n", passed, isa);
  else
    std::printf("%lu of %lu checks FAILED on ISA %s\n", failed, passed + failed, isa);
  std::fflush(stdout);
  passed = failed = 0;
  return ok ? 0 : 1;
}

// test(ISA) and its report on every tier that this processor supports; returns the exit code.
template <typename Test>
int on_each_tier(Test test) {
  int status = 0;
  std::size_t count = 0;
  const sanderling::KernelTable* const* tables = sanderling::kernel_tables(&count);
  for (std::size_t i = 0; i < count; ++i) {
    if (!tables[i]->supported()) continue;
    test(tables[i]->isa);
    status |= report(tables[i]->isa);
  }
  return status;
}

}  // namespace check

// CHECK(condition) or CHECK(condition, "printf context", ...)
#define CHECK(condition, ...) ((condition) ? check::pass() : check::fail(__FILE__, __LINE__, #condition, "    " __VA_ARGS__))
