#include "tool/scorer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the native file and --scores-bin are little-endian");

namespace sanderling::tool {
namespace {

constexpr std::size_t kSlice = 256;  // samples a stream_update: bounds the buffers of 1024 channels to a few MiB

}  // namespace

bool Scorer::open(Error* error) {
  if (!readable_file(options_.model, error)) return false;
  model_.reset(model_open(options_.model.c_str(), options_.isa.c_str(), error));
  if (!model_) return false;
  model_info(model_.get(), &info_);
  return out_.to_stdout();
}

bool Scorer::create_outputs(Error* error) {
  return options_.scores_bin.empty() || bin_.create(options_.scores_bin, error);
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

bool Scorer::take(CsvRows* rows, Error* error) {
  if (rows->rows == 0) return true;
  if (!stream_ && !open_stream(error)) return false;
  times_.insert(times_.end(), rows->t.begin(), rows->t.end());
  const std::size_t channels = reader_.channels().size();
  for (std::size_t at = 0; at < rows->rows; at += kSlice) {
    const std::size_t n = std::min(kSlice, rows->rows - at);
    if (!stream_update(stream_.get(), rows->x.data() + at * channels, n, &scores_, error) || !emit(error)) return false;
  }
  rows->clear();
  return true;
}

bool Scorer::flush(Error* error) {
  return !stream_ || (stream_flush(stream_.get(), &scores_, error) && emit(error));
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
  last_score_ = score;
  const double t = times_.empty() ? 0.0 : times_.front();
  if (!times_.empty()) times_.pop_front();
  if (options_.scores) {
    line_.count("i", index_);
    if (reader_.has_time()) line_.real("t", t);
    line_.real("score", score).flag("alarm", alarming);
    out_.add(line_.finish());
  }
  if (!alarming) end_alarm();
  const bool begins = alarming && !alarm_.on;
  if (begins) {
    alarm_ = {true, index_, index_, t, t, -INFINITY, 0};
    ++alarms_;
  }
  if (alarming) {
    alarm_.end = index_;
    alarm_.t_end = t;
    if (score > alarm_.peak) {
      alarm_.peak = score;
      float highest = -INFINITY;
      for (std::size_t c = 0; c < outputs_; ++c)
        if (channel_score[c] > highest) highest = channel_score[c], alarm_.channel = c;
    }
  }
  if (begins) began();
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
  if (alarm_.on) ended();
  alarm_.on = false;
}

void Scorer::ended() {
  if (options_.scores) return;
  alarm_fields(&line_);
  out_.add(line_.finish());
}

void Scorer::alarm_fields(JsonLine* line) const {
  line->count("alarm", alarms_).count("start", alarm_.start).count("end", alarm_.end);
  if (reader_.has_time()) line->real("t_start", alarm_.t_start).real("t_end", alarm_.t_end);
  line->real("peak", alarm_.peak).text("channel", output_name(alarm_.channel));
}

void Scorer::summary() {
  // A NaN score never falls into the cold part: scores there are 0 whatever is missing.
  line_.count("samples", reader_.rows()).count("scored", index_ - cold_ - nan_).count("cold", cold_).count("nan", nan_);
  line_.count("alarms", alarms_).real("threshold", threshold()).text("isa", info_.isa);
  line_.count("equal_timestamps", reader_.equal_timestamps());
  if (options_.calibration.dynamic)
    line_.count("tokens", stream_ ? stream_tokens(stream_.get()) : 0).count("skipped", stream_ ? stream_skipped(stream_.get()) : 0);
}

float Scorer::threshold() const {
  return stream_ ? stream_threshold(stream_.get()) : info_.calibrated ? info_.threshold : std::nanf("");
}

bool Scorer::summarise(Error* error) {
  summary();
  out_.add(line_.finish());
  if (!out_.flush(error) || (bin_.is_open() && !bin_.close(error))) return false;
  if (std::isnan(threshold()))
    std::fprintf(stderr,
                 "sanderling-run: note: %llu samples are fewer than the %llu that a model without calibration learns from, so "
                 "every score is 0; calibrate it first (--calibrate)\n",
                 static_cast<unsigned long long>(reader_.rows()),
                 static_cast<unsigned long long>(stream_ ? stream_cold_samples(stream_.get()) : info_.cold_samples));
  return true;
}

}  // namespace sanderling::tool
