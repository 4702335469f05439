// Where live samples come from: each source delivers CSV text, so that one reader makes the samples of all (docs/live.md).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/engine.h"

namespace sanderling::tool {

class Source {
 public:
  enum class Got { text, nothing, end, lost };

  virtual ~Source();
  // False when it isn't there now; `why` in a few words. What was left of an earlier connection is closed.
  virtual bool open(std::string* why) = 0;
  // After poll() found fd() readable or hung up. Appends to `text`.
  virtual Got read(std::string* text, std::string* why);
  // Whether it may come back after it was lost: a standard input may not.
  virtual bool returns() const { return true; }
  int fd() const { return fd_; }
  void close();

 protected:
  int fd_ = -1;
};

// KIND:TARGET[,key=value...]; the keys are those of the table of the kind.
struct SourceSpec {
  std::string kind, target;
  std::vector<std::pair<std::string, std::string>> settings;
  const std::string* find(std::string_view key) const;  // nullptr where it isn't given
  std::string setting(std::string_view key, const char* otherwise) const;
};

// The kind of an input: "serial", "iio", "mqtt", or "" for a path or "-".
std::string_view source_kind(std::string_view input);
// The source of `input`, or nullptr and an error (status argument).
std::unique_ptr<Source> make_source(const std::string& input, Error* error);

std::unique_ptr<Source> make_serial(const SourceSpec& spec, Error* error);
std::unique_ptr<Source> make_iio(const SourceSpec& spec, Error* error);

// A number above 0 of a setting, with an error that names it.
bool positive_setting(const SourceSpec& spec, const char* key, const char* otherwise, double* number, Error* error);

}  // namespace sanderling::tool
