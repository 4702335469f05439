#include "io/json.h"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace sanderling {

void JsonLine::begin(const char* key) {
  if (done_) line_.clear();
  line_ += done_ ? "{\"" : ", \"";
  done_ = false;
  line_ += key;
  line_ += "\": ";
}

JsonLine& JsonLine::text(const char* key, std::string_view value) {
  begin(key);
  line_ += '"';
  for (const char c : value) {
    if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      line_ += escaped;
      continue;
    }
    if (c == '"' || c == '\\') line_ += '\\';
    line_ += c;
  }
  line_ += '"';
  return *this;
}

JsonLine& JsonLine::real(const char* key, float value) {
  begin(key);
  if (!std::isfinite(value)) {
    line_ += "null";
    return *this;
  }
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, static_cast<double>(value), std::chars_format::general, 9);
  line_.append(digits, end.ptr);
  return *this;
}

JsonLine& JsonLine::real(const char* key, double value) {
  begin(key);
  if (!std::isfinite(value)) {
    line_ += "null";
    return *this;
  }
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value);
  line_.append(digits, end.ptr);
  return *this;
}

JsonLine& JsonLine::count(const char* key, std::uint64_t value) {
  begin(key);
  line_ += std::to_string(value);
  return *this;
}

JsonLine& JsonLine::flag(const char* key, bool value) {
  begin(key);
  line_ += value ? "true" : "false";
  return *this;
}

std::string_view JsonLine::finish() {
  line_ += done_ ? "{}\n" : "}\n";
  done_ = true;
  return line_;
}

}  // namespace sanderling
