#include "error.h"

#include <cstdarg>
#include <cstdio>

namespace sanderling {
namespace {

// The length of the UTF-8 character at s, 0 when there is none (control characters, overlong forms and surrogates included).
int utf8_length(const unsigned char* s) {
  if (s[0] >= 0x20 && s[0] < 0x7f) return 1;
  int n = 0;
  if (s[0] >= 0xc2 && s[0] <= 0xdf) n = 2;
  else if (s[0] >= 0xe0 && s[0] <= 0xef) n = 3;
  else if (s[0] >= 0xf0 && s[0] <= 0xf4) n = 4;
  else return 0;
  for (int i = 1; i < n; ++i)
    if ((s[i] & 0xc0) != 0x80) return 0;
  if (s[0] == 0xe0 && s[1] < 0xa0) return 0;
  if (s[0] == 0xed && s[1] > 0x9f) return 0;
  if (s[0] == 0xf0 && s[1] < 0x90) return 0;
  if (s[0] == 0xf4 && s[1] > 0x8f) return 0;
  return n;
}

}  // namespace

bool fail(Error* error, Status status, const char* format, ...) {
  if (error == nullptr) return false;
  error->status = status;
  std::va_list args;
  va_start(args, format);
  std::vsnprintf(error->message, sizeof error->message, format, args);
  va_end(args);
  // The terminating zero is not a continuation byte, so a character cut off by the buffer's end is caught as well.
  auto* s = reinterpret_cast<unsigned char*>(error->message);
  while (*s != 0) {
    const int n = utf8_length(s);
    if (n == 0) *s = '?';
    s += n == 0 ? 1 : n;
  }
  return false;
}

}  // namespace sanderling
