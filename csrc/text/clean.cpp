#include "clean.h"

#include <algorithm>

#include "unicode.h"

namespace sanderling {

std::size_t clean_text(const char* text, std::size_t n, char32_t* to) {
  const auto* at = reinterpret_cast<const unsigned char*>(text);
  const unsigned char* const end = at + std::min(n, cleaned_bytes);
  std::size_t count = 0;
  bool blank = false;
  while (at < end) {
    const char32_t c = read_utf8(&at, end);
    if (is_blank(c)) {
      blank = count > 0;
      continue;
    }
    if (count + (blank ? 2 : 1) > cleaned_characters) break;
    if (blank) to[count++] = ' ';
    blank = false;
    to[count++] = c;
  }
  return count;
}

}  // namespace sanderling
