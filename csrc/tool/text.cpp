// `text`: a line of standard input is a text; what comes out is a JSON line each: its score where the file is a calibrated detector,
// else its tokens. Memory does not grow with the input.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "io/json.h"
#include "text/detector.h"
#include "tool/notify.h"
#include "tool/system.h"
#include "tool/tool.h"

namespace sanderling::tool {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 16;
constexpr std::size_t kLongestLine = std::size_t{1} << 20;  // bytes; the rest of a line is not read

struct TextOptions {
  std::string model, input = "-", isa, embeddings;
  std::uint32_t max_tokens = 0;
  bool tokens = false, score = false, alarms = false;
};

bool refuse(Error* error, const char* format, const char* found) {
  error->status = Status::argument;
  std::snprintf(error->message, sizeof error->message, format, found);
  return false;
}

bool parse(int argc, char** argv, TextOptions* options, Error* error) {
  const struct {
    const char* name;
    std::string* value;
  } named[] = {{"--input", &options->input}, {"--isa", &options->isa}, {"--embeddings", &options->embeddings}};
  const struct {
    const char* name;
    bool* value;
  } switches[] = {{"--tokens", &options->tokens}, {"--score", &options->score}, {"--alarms", &options->alarms}};
  for (int i = 2; i < argc; ++i) {
    const char* const word = argv[i];
    bool on = false;
    for (const auto& option : switches)
      if (std::strcmp(word, option.name) == 0) on = *option.value = true;
    if (on) continue;
    if (*word != '-') {
      if (!options->model.empty()) return refuse(error, "text: expected one model file, found also '%.80s'; give texts on standard input or by --input", word);
      options->model = word;
      continue;
    }
    if (i + 1 == argc) return refuse(error, "text: expected a known option and its value, found '%.80s' alone; see --help", word);
    const char* const value = argv[++i];
    if (std::strcmp(word, "--max-tokens") == 0) {
      char* end = nullptr;
      const unsigned long number = std::strtoul(value, &end, 10);
      if (*value < '0' || *value > '9' || *end != 0 || number < 2 || number > 4096)
        return refuse(error, "--max-tokens: expected a whole number from 2 to 4096, found '%.80s'; give one", value);
      options->max_tokens = static_cast<std::uint32_t>(number);
      continue;
    }
    bool known = false;
    for (const auto& option : named)
      if (std::strcmp(word, option.name) == 0) known = true, *option.value = value;
    if (!known) return refuse(error, "text: expected an option, found '%.80s'; see --help", word);
  }
  if ((options->score || options->alarms) && (options->tokens || !options->embeddings.empty()))
    return refuse(error, "text: expected scores, or tokens and embeddings, found both%s; run it twice", "");
  return !options->model.empty() || refuse(error, "text: expected a model file, found none%s; run sanderling-run text model.gguf < log", "");
}

struct CloseText {
  void operator()(TextEncoder* encoder) const { text_close(encoder); }
  void operator()(TextDetector* detector) const { text_detector_close(detector); }
};

class Texts {
 public:
  explicit Texts(const TextOptions& options) : options_(options) {}

  bool open(Error* error) {
    if (!readable_file(options_.model, error)) return false;
    bool scores = options_.score || options_.alarms;
    const bool asked = scores || options_.tokens || !options_.embeddings.empty();
    if (!asked && !text_has_views(options_.model.c_str(), &scores, error)) return false;
    if (!(scores ? open_detector(error) : open_encoder(error))) return false;
    line_.reserve(kReadBytes);
    out_.to_stdout();
    return input_.open(options_.input, error) && (options_.embeddings.empty() || rows_.create(options_.embeddings, error));
  }

  bool read_all(Error* error) {
    std::vector<char> buffer(kReadBytes);
    for (;;) {
      std::size_t size = 0;
      const Input::Read read = input_.read(buffer.data(), buffer.size(), &size, error);
      if (read == Input::Read::failed) return false;
      if (read != Input::Read::data) return (read == Input::Read::interrupted || !partial_ || text(error)) && flush(error);
      for (const char *at = buffer.data(), *end = at + size; at < end;) {
        const void* const stop = std::memchr(at, '\n', static_cast<std::size_t>(end - at));
        const char* const next = stop == nullptr ? end : static_cast<const char*>(stop);
        line_.append(at, std::min(static_cast<std::size_t>(next - at), kLongestLine - line_.size()));
        partial_ = stop == nullptr;
        if (stop != nullptr && !text(error)) return false;
        at = next + 1;
      }
      if (!flush(error)) return false;
    }
  }

  bool summarise(Error* error) {
    json_.count("texts", texts_);
    if (detector_) json_.count("alarms", alarms_).real("threshold", static_cast<float>(detector_info_.threshold)).text("isa", detector_info_.isa);
    else json_.count("tokens", tokens_).text("tokenizer", info_.tokenizer).text("isa", info_.isa);
    out_.add(json_.finish());
    return flush(error) && (!rows_.is_open() || rows_.close(error));
  }

  bool broken() const { return out_.broken(); }

 private:
  bool open_encoder(Error* error) {
    encoder_.reset(text_open(options_.model.c_str(), options_.isa.c_str(), options_.max_tokens, error));
    if (!encoder_) return false;
    text_info(encoder_.get(), &info_);
    ids_.resize(info_.max_tokens);
    row_.resize(info_.d_model);
    return true;
  }

  bool open_detector(Error* error) {
    detector_.reset(text_detector_open(options_.model.c_str(), options_.isa.c_str(), options_.max_tokens, error));
    if (detector_) text_detector_info(detector_.get(), &detector_info_);
    return detector_ != nullptr;
  }

  // The line at hand as a text: its score. Text is printed cleaned: control characters and what isn't UTF-8 are gone.
  void score() {
    TextScore found;
    text_score(detector_.get(), line_.data(), line_.size(), &found);
    const std::uint64_t i = texts_++;
    alarms_ += found.alarm;
    if (options_.alarms && !found.alarm) return;
    json_.count("i", i).real("score", static_cast<float>(found.score)).real("threshold", static_cast<float>(detector_info_.threshold));
    json_.flag("alarm", found.alarm);
    for (std::size_t view = detector_info_.meaning ? meaning_view : characters_view; view < n_views; ++view)
      json_.real(view_names[view], static_cast<float>(found.nats[view]));
    std::size_t n = 0;
    const char* const text = text_cleaned(detector_.get(), &n);
    out_.add(json_.text("text", {text, n}).finish());
  }

  bool flush(Error* error) { return out_.flush(error) && (!rows_.is_open() || rows_.flush(error)); }

  // The line at hand; its end may be CR LF.
  bool text(Error* error) {
    if (!line_.empty() && line_.back() == '\r') line_.pop_back();
    if (detector_) {
      score();
      line_.clear();
      partial_ = false;
      return true;
    }
    const std::size_t n = text_tokenize(encoder_.get(), line_.data(), line_.size(), ids_.data());
    tokens_ += n;
    json_.count("i", texts_++).count("tokens", n);
    if (options_.tokens) {
      std::string ids;
      for (std::size_t i = 0; i < n; ++i) ids += (i == 0 ? "" : " ") + std::to_string(ids_[i]);
      json_.text("ids", ids);
    }
    out_.add(json_.finish());
    line_.clear();
    partial_ = false;
    if (!rows_.is_open()) return true;
    if (!text_embed(encoder_.get(), ids_.data(), n, row_.data(), error)) return false;
    rows_.add({reinterpret_cast<const char*>(row_.data()), row_.size() * sizeof(float)});
    return true;
  }

  const TextOptions& options_;
  std::unique_ptr<TextEncoder, CloseText> encoder_;
  std::unique_ptr<TextDetector, CloseText> detector_;
  TextInfo info_ = {};
  TextDetectorInfo detector_info_ = {};
  Input input_;
  Output out_, rows_;
  JsonLine json_;
  std::string line_;
  std::vector<std::uint32_t> ids_;
  std::vector<float> row_;
  std::uint64_t texts_ = 0, tokens_ = 0, alarms_ = 0;
  bool partial_ = false;
};

}  // namespace

int run_text(int argc, char** argv) {
  Error error;
  TextOptions options;
  if (!parse(argc, argv, &options, &error)) return report(error);
  install_signals();
  Texts texts(options);
  bool good = texts.open(&error);
  if (good) notify("READY=1");
  good = good && texts.read_all(&error) && texts.summarise(&error);
  notify("STOPPING=1");
  return good || texts.broken() ? 0 : report(error);
}

}  // namespace sanderling::tool
