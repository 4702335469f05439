#include "tool/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "io/number.h"

namespace sanderling::tool {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 16;

struct Kind {
  const char* name;
  const char* keys;  // "" or ",key,key,"
  std::unique_ptr<Source> (*make)(const SourceSpec& spec, Error* error);
};

std::unique_ptr<Source> refuse_mqtt(const SourceSpec&, Error* error) {
  error->status = Status::argument;
  std::snprintf(error->message, sizeof error->message,
                "--input: expected a source that the runner reads, found mqtt; run: mosquitto_sub -t TOPIC | sanderling-run --live "
                "model.gguf, or sanderling watch");
  return nullptr;
}

constexpr Kind kKinds[] = {
    {"serial", ",baud,first,", make_serial},
    {"iio", ",rate,mode,channels,trigger,length,root,", make_iio},
    {"mqtt", "", refuse_mqtt},
    {"mqtts", "", refuse_mqtt},
};

const Kind* find_kind(std::string_view input) {
  const std::size_t colon = input.find(':');
  for (const Kind& kind : kKinds)
    if (colon != std::string_view::npos && input.substr(0, colon) == kind.name) return &kind;
  return nullptr;
}

// Standard input, a file, a pipe or a character device as it is.
class TextSource : public Source {
 public:
  explicit TextSource(const std::string& path) : path_(path) {}

  bool open(std::string* why) override {
    close();
    if (path_ == "-") return fd_ = 0, true;
    struct stat info = {};
    // Held open for writing too, a pipe doesn't end when its writer leaves.
    const bool pipe = ::stat(path_.c_str(), &info) == 0 && S_ISFIFO(info.st_mode);
    fd_ = ::open(path_.c_str(), (pipe ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd_ < 0 && pipe) fd_ = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd_ < 0 || ::fstat(fd_, &info) != 0) return *why = std::strerror(errno), false;
    if (S_ISDIR(info.st_mode)) return *why = std::strerror(EISDIR), close(), false;
    ends_ = S_ISREG(info.st_mode);
    return true;
  }

  Got read(std::string* text, std::string* why) override {
    const Got got = Source::read(text, why);
    return got == Got::lost && ends_ && why->empty() ? Got::end : got;
  }

  bool returns() const override { return path_ != "-"; }

 private:
  std::string path_;
  bool ends_ = true;
};

}  // namespace

Source::~Source() { close(); }

void Source::close() {
  if (fd_ > 0) ::close(fd_);
  fd_ = -1;
}

// An end has no reason: `why` stays empty.
Source::Got Source::read(std::string* text, std::string* why) {
  const std::size_t before = text->size();
  text->resize(before + kReadBytes);
  const ssize_t got = ::read(fd_, text->data() + before, kReadBytes);
  const int error = errno;
  text->resize(before + static_cast<std::size_t>(got > 0 ? got : 0));
  if (got > 0) return Got::text;
  if (got < 0 && (error == EINTR || error == EAGAIN)) return Got::nothing;
  *why = got == 0 ? "" : std::strerror(error);
  return Got::lost;
}

const std::string* SourceSpec::find(std::string_view key) const {
  for (const auto& setting : settings)
    if (setting.first == key) return &setting.second;
  return nullptr;
}

std::string SourceSpec::setting(std::string_view key, const char* otherwise) const {
  const std::string* const found = find(key);
  return found ? *found : otherwise;
}

std::string_view source_kind(std::string_view input) {
  const Kind* const kind = find_kind(input);
  return kind ? kind->name : std::string_view();
}

std::unique_ptr<Source> make_source(const std::string& input, Error* error) {
  const Kind* const kind = find_kind(input);
  if (!kind) return std::make_unique<TextSource>(input);
  SourceSpec spec;
  spec.kind = kind->name;
  if (!*kind->keys) return kind->make(spec, error);
  std::string_view rest = std::string_view(input).substr(spec.kind.size() + 1);
  const auto fail = [&](const char* wanted, std::string_view found) {
    error->status = Status::argument;
    std::snprintf(error->message, sizeof error->message, "--input: expected %s, found '%.*s'; see docs/live.md", wanted,
                  static_cast<int>(std::min<std::size_t>(found.size(), 80)), found.data());
    return nullptr;
  };
  std::size_t comma = rest.find(',');
  spec.target = rest.substr(0, comma);
  if (spec.target.empty()) return fail("a device after the colon", input);
  while (comma != std::string_view::npos) {
    rest.remove_prefix(comma + 1);
    comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    const std::size_t equals = item.find('=');
    const std::string key(item.substr(0, equals));
    if (equals == std::string_view::npos || equals + 1 == item.size() || key.empty() ||
        std::string_view(kind->keys).find("," + key + ",") == std::string_view::npos)
      return fail(("settings key=value with a key of " + std::string(kind->keys + 1, std::strlen(kind->keys) - 2)).c_str(), item);
    spec.settings.emplace_back(key, item.substr(equals + 1));
  }
  return kind->make(spec, error);
}

bool positive_setting(const SourceSpec& spec, const char* key, const char* otherwise, double* number, Error* error) {
  const std::string text = spec.setting(key, otherwise);
  if (parse_number(text, number) == Cell::number && std::isfinite(*number) && *number > 0.0) return true;
  error->status = Status::argument;
  std::snprintf(error->message, sizeof error->message, "--input: expected %s=NUMBER above 0, found '%.80s'; see docs/live.md", key,
                text.c_str());
  return false;
}

}  // namespace sanderling::tool
