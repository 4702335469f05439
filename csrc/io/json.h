// One JSON object on one line, built field by field; numbers come back with the same bits, NaN and infinities are null.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace sanderling {

class JsonLine {
 public:
  JsonLine& text(const char* key, std::string_view value);  // value: UTF-8
  JsonLine& real(const char* key, float value);             // 9 significant digits
  JsonLine& real(const char* key, double value);            // the shortest digits that come back
  JsonLine& count(const char* key, std::uint64_t value);
  JsonLine& flag(const char* key, bool value);
  // The object with its line end; the builder is empty again and keeps its memory.
  std::string_view finish();

 private:
  void begin(const char* key);

  std::string line_;
  bool done_ = true;
};

}  // namespace sanderling
