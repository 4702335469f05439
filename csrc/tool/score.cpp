// Scoring: rows in, patches through the stream, JSON lines out; memory does not grow with the recording.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <memory>

#include "io/json.h"
#include "tool/notify.h"
#include "tool/system.h"
#include "tool/tool.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the native file and --scores-bin are little-endian");

namespace sanderling::tool {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 16;
constexpr std::size_t kSlice = 256;  // samples a stream_update: bounds the buffers of 1024 channels to a few MiB

struct CloseModel {
  void operator()(Model* m) const { model_close(m); }
};
struct CloseStream {
  void operator()(Stream* s) const { stream_close(s); }
};

// The run of samples above the threshold that is going on.
struct Alarm {
  bool on = false;
  std::uint64_t start = 0, end = 0;
  double t_start = 0.0, t_end = 0.0;
  float peak = 0.0f;
  std::size_t channel = 0;
};

class Scorer {
 public:
  explicit Scorer(const Options& options) : options_(options), reader_(options.csv) {}
  bool open(Error* error);
  bool read_all(Error* error);
  bool summarise(Error* error);
  bool broken() const { return out_.broken(); }

 private:
  bool take_rows(Error* error);
  bool open_stream(Error* error);
  bool emit(Error* error);
  void sample(float score, const float* channel_score);
  void end_alarm();
  std::string output_name(std::size_t output) const;

  const Options& options_;
  CsvReader reader_;
  CsvRows rows_;
  Input input_;
  Output out_, bin_;
  JsonLine line_;
  std::unique_ptr<Model, CloseModel> model_;  // before the stream: closed after it
  std::unique_ptr<Stream, CloseStream> stream_;
  ModelInfo info_ = {};
  std::vector<float> score_, channel_score_;
  std::deque<double> times_;  // of the samples whose scores are not out yet
  std::size_t outputs_ = 0;   // columns of channel_score_
  Scores scores_;
  Alarm alarm_;
  std::uint64_t index_ = 0, alarms_ = 0, nan_ = 0, cold_ = 0;
};

bool Scorer::open(Error* error) {
  if (!readable_file(options_.model, error)) return false;
  model_.reset(model_open(options_.model.c_str(), options_.isa.c_str(), error));
  if (!model_) return false;
  model_info(model_.get(), &info_);
  out_.to_stdout();
  return input_.open(options_.input, error) && (options_.scores_bin.empty() || bin_.create(options_.scores_bin, error));
}

bool Scorer::open_stream(Error* error) {
  const std::size_t channels = reader_.channels().size();
  stream_.reset(stream_open(model_.get(), channels, options_.calibration, error));
  if (!stream_) return false;
  outputs_ = stream_outputs(stream_.get());
  scores_.capacity = kSlice + stream_patch(stream_.get());
  score_.resize(scores_.capacity);
  channel_score_.resize(scores_.capacity * outputs_);
  scores_.score = score_.data();
  scores_.channel_score = channel_score_.data();
  return true;
}

bool Scorer::read_all(Error* error) {
  std::vector<char> buffer(kReadBytes);
  for (;;) {
    std::size_t size = 0;
    switch (input_.read(buffer.data(), buffer.size(), &size, error)) {
      case Input::Read::failed: return false;
      case Input::Read::interrupted: return end_alarm(), true;
      case Input::Read::end:
        if (!reader_.finish(&rows_, error) || !take_rows(error)) return false;
        if (!stream_flush(stream_.get(), &scores_, error) || !emit(error)) return false;
        return end_alarm(), true;
      case Input::Read::data: break;
    }
    // Rows before a bad one are scored and printed before its error is told.
    Error bad_text;
    const bool good = reader_.feed(buffer.data(), size, &rows_, &bad_text);
    if (!take_rows(error) || !out_.flush(error)) return false;
    if (!good) return *error = bad_text, false;
  }
}

bool Scorer::take_rows(Error* error) {
  if (rows_.rows == 0) return true;
  if (!stream_ && !open_stream(error)) return false;
  times_.insert(times_.end(), rows_.t.begin(), rows_.t.end());
  const std::size_t channels = reader_.channels().size();
  for (std::size_t at = 0; at < rows_.rows; at += kSlice) {
    const std::size_t n = std::min(kSlice, rows_.rows - at);
    if (!stream_update(stream_.get(), rows_.x.data() + at * channels, n, &scores_, error) || !emit(error)) return false;
  }
  rows_.clear();
  return true;
}

bool Scorer::emit(Error* error) {
  for (std::size_t i = 0; i < scores_.written; ++i) sample(score_[i], channel_score_.data() + i * outputs_);
  if (!bin_.is_open()) return true;
  bin_.add({reinterpret_cast<const char*>(score_.data()), scores_.written * sizeof(float)});
  return bin_.flush(error);
}

void Scorer::sample(float score, const float* channel_score) {
  const bool cold = index_ < stream_cold_samples(stream_.get());
  const bool alarming = score > stream_threshold(stream_.get());
  cold_ += cold;
  nan_ += std::isnan(score);
  const double t = times_.empty() ? 0.0 : times_.front();
  if (!times_.empty()) times_.pop_front();
  if (options_.scores) {
    line_.count("i", index_);
    if (reader_.has_time()) line_.real("t", t);
    line_.real("score", score).flag("alarm", alarming);
    out_.add(line_.finish());
  }
  if (!alarming) end_alarm();
  if (alarming) {
    if (!alarm_.on) {
      alarm_ = {true, index_, index_, t, t, -INFINITY, 0};
      ++alarms_;
    }
    alarm_.end = index_;
    alarm_.t_end = t;
    if (score > alarm_.peak) {
      alarm_.peak = score;
      float highest = -INFINITY;
      for (std::size_t c = 0; c < outputs_; ++c)
        if (channel_score[c] > highest) highest = channel_score[c], alarm_.channel = c;
    }
  }
  ++index_;
}

// A channel's name, with the feature's behind it where there are frames.
std::string Scorer::output_name(std::size_t output) const {
  if (stream_frame_samples(stream_.get()) == 0) return reader_.channels()[output];
  std::size_t count = 0;
  const char* const* const features = frame_feature_list(&count);
  return reader_.channels()[output / count] + "_" + features[output % count];
}

void Scorer::end_alarm() {
  if (alarm_.on && !options_.scores) {
    line_.count("alarm", alarms_).count("start", alarm_.start).count("end", alarm_.end);
    if (reader_.has_time()) line_.real("t_start", alarm_.t_start).real("t_end", alarm_.t_end);
    line_.real("peak", alarm_.peak).text("channel", output_name(alarm_.channel));
    out_.add(line_.finish());
  }
  alarm_.on = false;
}

bool Scorer::summarise(Error* error) {
  const float threshold = stream_            ? stream_threshold(stream_.get())
                          : info_.calibrated ? info_.threshold
                                             : std::nanf("");
  // A NaN score never falls into the cold part: scores there are 0 whatever is missing.
  line_.count("samples", reader_.rows()).count("scored", index_ - cold_ - nan_).count("cold", cold_).count("nan", nan_);
  line_.count("alarms", alarms_).real("threshold", threshold).text("isa", info_.isa);
  line_.count("equal_timestamps", reader_.equal_timestamps());
  if (options_.calibration.dynamic) line_.count("tokens", stream_ ? stream_tokens(stream_.get()) : 0).count("skipped", stream_ ? stream_skipped(stream_.get()) : 0);
  out_.add(line_.finish());
  if (!out_.flush(error) || (bin_.is_open() && !bin_.close(error))) return false;
  if (std::isnan(threshold))
    std::fprintf(stderr,
                 "sanderling-run: note: %llu samples are fewer than the %llu that a model without calibration learns from, so "
                 "every score is 0; calibrate it first (--calibrate)\n",
                 static_cast<unsigned long long>(reader_.rows()),
                 static_cast<unsigned long long>(stream_ ? stream_cold_samples(stream_.get()) : info_.cold_samples));
  return true;
}

}  // namespace

int run_score(const Options& options) {
  Error error;
  Scorer scorer(options);
  bool good = scorer.open(&error);
  if (good) notify("READY=1");
  good = good && scorer.read_all(&error) && scorer.summarise(&error);
  notify("STOPPING=1");
  return good || scorer.broken() ? 0 : report(error);
}

}  // namespace sanderling::tool
