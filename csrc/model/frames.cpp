#include "frames.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "../core/error.h"
#include "../core/math.h"

namespace sanderling {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
// Linear B-spline: short enough to keep an impact in its frame, smooth enough to part the bands (docs/frames.md section 2).
constexpr float taps[] = {0.25f, 0.5f, 0.25f};
constexpr std::size_t n_taps = 3;
// Above about 1 kHz; at 1 kHz itself the rounding of timestamps must not decide.
constexpr float high_rate_period = 0.95e-3f;
constexpr float raw_limit = 1e15f;  // the kernels' bound

constexpr std::size_t history(std::size_t level) { return (n_taps - 1) << level; }
// How far back a detail of the level looks, through all the levels before it.
constexpr std::size_t reach(std::size_t level) { return (n_taps - 1) * ((std::size_t{2} << level) - 1); }

}  // namespace

const char* const frame_feature_names[frame_features] = {"level1_rms", "level2_rms", "level3_rms", "level4_rms",
                                                         "level5_rms", "smooth_rms", "kurtosis"};

void Framer::place(Arena& arena, const KernelTable& kernels, std::size_t raw_channels, const FrameConfig& config) {
  kernels_ = &kernels;
  channels = raw_channels;
  length_ = config.samples;
  raw_ = arena.take<float>(length_ * channels);
  for (std::size_t l = 0; l < frame_levels; ++l) smooth_[l] = arena.take<float>(channels * (history(l) + length_));
  detail_ = arena.take<float>(length_);
  last_ = arena.take<float>(length_);
  weight_ = arena.take<float>(length_);
  settled_ = arena.take<float>(length_);
  features_ = arena.take<float>(channels * frame_features);
  track_ = arena.take<Track>(channels);
}

void Framer::reset() {
  filled_ = 0;
  for (std::size_t c = 0; c < channels; ++c) track_[c].fresh = true;
}

std::size_t Framer::take(const float* x, std::size_t n) {
  const std::size_t used = std::min(n, length_ - filled_);
  std::memcpy(raw_ + filled_ * channels, x, used * channels * sizeof *x);
  filled_ += used;
  return used;
}

void Framer::pad() {
  std::fill(raw_ + filled_ * channels, raw_ + length_ * channels, nan);
  filled_ = length_;
}

void Framer::transfer(StateIo& io, std::size_t pending) {
  if (io.restores()) filled_ = pending;
  io.samples(raw_, pending * channels);
  for (std::size_t c = 0; c < channels; ++c) {
    io.flag(&track_[c].fresh);
    if (track_[c].fresh) continue;  // filters that start anew
    for (std::size_t l = 0; l < frame_levels; ++l) io.floats(signal(l, c) - history(l), history(l), -2.0f * raw_limit, 2.0f * raw_limit);
  }
}

const float* Framer::features() {
  for (std::size_t c = 0; c < channels; ++c) channel(c);
  filled_ = 0;
  return features_;
}

// The frame's first sample of s_level.
float* Framer::signal(std::size_t level, std::size_t c) const { return smooth_[level] + c * (history(level) + length_) + history(level); }

// The channel's samples and weights; returns how many are valid.
std::size_t Framer::gather(std::size_t c) {
  float* x = signal(0, c);
  std::size_t valid = 0;
  for (std::size_t i = 0; i < length_; ++i) {
    const float raw = raw_[i * channels + c];
    const bool ok = std::isfinite(raw);
    x[i] = ok ? std::min(std::max(raw, -raw_limit), raw_limit) : 0.0f;
    weight_[i] = ok ? 1.0f : 0.0f;
    valid += ok;
  }
  return valid;
}

// Missing samples take part in no mean, but the filters need values there: a straight line across a gap inside the frame, the
// last valid value at its end. A jump at a gap would ring through every level.
void Framer::bridge(std::size_t c, std::size_t valid) {
  if (valid == length_ && !track_[c].fresh) return;
  float* x = signal(0, c);
  const std::size_t first = static_cast<std::size_t>(std::find(weight_, weight_ + length_, 1.0f) - weight_);
  if (track_[c].fresh) {
    for (std::size_t l = 0; l < frame_levels; ++l) std::fill_n(signal(l, c) - history(l), history(l), x[first]);
    std::fill_n(x, first, x[first]);
  }
  for (std::size_t i = track_[c].fresh ? first : 0; i < length_;) {
    if (weight_[i] != 0.0f) {
      ++i;
      continue;
    }
    const std::size_t end = static_cast<std::size_t>(std::find(weight_ + i, weight_ + length_, 1.0f) - weight_);
    const float from = *(x + i - 1), step = end < length_ ? (x[end] - from) / static_cast<float>(end - i + 1) : 0.0f;
    for (std::size_t k = i; k < end; ++k) x[k] = from + step * static_cast<float>(k - i + 1);
    i = end;
  }
  track_[c].fresh = weight_[length_ - 1] == 0.0f;
}

// The samples that count in a level, 1 or 0 each: the valid ones, but for those whose filters still see a gap longer than the level's
// stride, or the start. Where that leaves less than half of the valid ones, all of them.
const float* Framer::settle(std::size_t level, bool fresh, std::size_t valid, std::size_t* counted) {
  *counted = valid;
  if (valid == length_ && !fresh) return weight_;
  std::size_t gap = fresh ? length_ : 0, wait = 0, count = 0;
  for (std::size_t i = 0; i < length_; ++i) {
    wait -= wait > 0;
    const bool ok = weight_[i] != 0.0f;
    if (ok && gap > std::size_t{1} << level) wait = reach(level);
    gap = ok ? 0 : gap + 1;
    settled_[i] = ok && wait == 0 ? 1.0f : 0.0f;
    count += ok && wait == 0;
  }
  if (2 * count < valid) return weight_;
  *counted = count;
  return settled_;
}

Framer::Moments Framer::moments(const float* d, const float* weight, std::size_t counted) const {
  double sums[2];
  kernels_->moments(d, weight, length_, sums);
  return {sums[0] / static_cast<double>(counted), sums[1] / static_cast<double>(counted)};
}

void Framer::channel(std::size_t c) {
  float* out = features_ + c * frame_features;
  const std::size_t valid = gather(c);
  const bool fresh = track_[c].fresh;
  if (2 * valid < length_) {
    track_[c].fresh = true;
    std::fill_n(out, frame_features, nan);
    return;
  }
  bridge(c, valid);
  Moments level[frame_levels];
  const float* weight = weight_;
  std::size_t counted = valid;
  double details = 0.0;
  for (std::size_t l = 0; l < frame_levels; ++l) {
    float* s = signal(l, c);
    kernels_->atrous(s, taps, n_taps, std::size_t{1} << l, length_, l + 1 < frame_levels ? signal(l + 1, c) : last_, detail_);
    weight = settle(l, fresh, valid, &counted);
    level[l] = moments(detail_, weight, counted);
    details += level[l].m2;
    std::memmove(s - history(l), s + length_ - history(l), history(l) * sizeof *s);
  }
  const double smooth = moments(last_, weight, counted).m2;
  // 80 dB below all the details, 120 dB below the smooth: what lies there is rounding, and a logarithm would enlarge it. It enters
  // as Gaussian noise of that power would: an empty level has kurtosis 3.
  const double floor = 1e-24 + 1e-8 * details + 1e-12 * smooth;
  double kurtosis = 0.0;
  for (std::size_t l = 0; l < frame_levels; ++l) {
    const double m2 = level[l].m2 + floor;
    out[l] = static_cast<float>(0.5 * log64(m2));
    kurtosis = std::max(kurtosis, (level[l].m4 + 6.0 * level[l].m2 * floor + 3.0 * floor * floor) / (m2 * m2));
  }
  out[frame_levels] = static_cast<float>(0.5 * log64(smooth + floor));
  out[frame_levels + 1] = static_cast<float>(log64(kurtosis));
}

Framing::Framing(const KernelTable& kernels, const FrameConfig& config, std::size_t raw_channels, std::size_t raw_samples)
    : samples(config.on() ? raw_samples / config.samples : raw_samples), channels(config.model_channels(raw_channels)), on_(config.on()) {
  if (!on_) return;
  block_ = place_block([&](Arena& arena) {
    framer_.place(arena, kernels, raw_channels, config);
    frames_ = arena.take<float>(samples * channels);
  });
}

const float* Framing::run(const float* x) {
  if (!on_) return x;
  framer_.reset();
  for (std::size_t t = 0; t < samples; ++t) {
    x += framer_.take(x, framer_.length()) * framer_.channels;
    std::copy_n(framer_.features(), channels, frames_ + t * channels);
  }
  return frames_;
}

bool channels_fit(const FrameConfig& frame, std::size_t channels, Error* error) {
  return frame.model_channels(channels) <= max_channels ||
         fail(error, Status::argument, "expected at most %zu channels with frames (%zu features each, %u in all), found %zu; select channels",
              max_channels / frame_features, frame_features, max_channels, channels);
}

const char* const* frame_feature_list(std::size_t* count) {
  *count = frame_features;
  return frame_feature_names;
}

bool same_period(const FrameConfig& frame, float period_s) {
  return period_s == 0.0f || std::fabs(period_s - frame.period_s) <= 0.01f * frame.period_s;
}

bool choose_frame(const FrameConfig& stored, float frame_ms, float period_s, std::size_t samples, FrameConfig* frame, Error* error) {
  *frame = FrameConfig{};
  if (!std::isfinite(frame_ms))
    return fail(error, Status::argument, "expected frame_ms as a finite number, found %g; give milliseconds, or 0 for none",
                static_cast<double>(frame_ms));
  if (frame_ms == 0.0f) return true;
  if (frame_ms < 0.0f && stored.on() && same_period(stored, period_s)) return *frame = stored, true;
  if (frame_ms < 0.0f && (period_s == 0.0f || period_s >= high_rate_period)) return true;

  const double period = static_cast<double>(period_s > 0.0f ? period_s : stored.period_s);
  if (period == 0.0)
    return fail(error, Status::argument, "expected period_s with frame_ms, found none; give the seconds a sample");
  // 480 samples make a steady kurtosis; 10 to 50 ms keep the delay of a patch below half a second.
  double seconds = static_cast<double>(frame_ms) / 1000.0;
  if (frame_ms < 0.0f) seconds = std::min(std::max(480.0 * period, 0.010), 0.050);
  double length = std::min(seconds / period + 0.5, 1e9);
  if (frame_ms < 0.0f) {
    length = std::min<double>(length, max_frame);
    // A short reference gets shorter frames rather than none.
    while (samples > 0 && static_cast<double>(samples) < 512.0 * std::floor(length) && length >= 2.0 * 96.0 && length * period >= 0.010)
      length *= 0.5;
  }
  if (!(length >= min_frame && length < max_frame + 1.0) || period < static_cast<double>(min_frame_period) ||
      period > static_cast<double>(max_frame_period))
    return fail(error, Status::argument, "expected frames of %u to %u samples, found %g ms of %g s a sample; change frame_ms or period_s",
                min_frame, max_frame, seconds * 1000.0, period);
  *frame = {static_cast<std::uint32_t>(length), static_cast<float>(period)};
  return true;
}

}  // namespace sanderling
