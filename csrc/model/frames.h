// Frames: raw samples of a high-rate signal in, one vector of features every `samples` of them out (docs/frames.md). They come
// before everything else: to the rest of the engine a feature is a channel and a frame is a sample, NaN where it is missing.
#pragma once
#include "../core/memory.h"
#include "../kernels/kernels.h"
#include "config.h"
#include "state_io.h"

namespace sanderling {

// Turns raw samples [n][channels] into frames [channels][frame_features]. One state machine for batch and stream: a frame is
// computed when its last sample has come, so the cut into chunks never shows. Takes no memory after place().
class Framer {
 public:
  std::size_t channels;

  void place(Arena& arena, const KernelTable& kernels, std::size_t raw_channels, const FrameConfig& config);
  void reset();
  // Takes samples up to the end of the running frame; returns how many.
  std::size_t take(const float* x, std::size_t n);
  bool complete() const { return filled_ == length_; }
  std::size_t pending() const { return filled_; }
  std::size_t length() const { return length_; }
  // Fills the running frame up with missing samples.
  void pad();
  // What it remembers with so many samples of the running frame.
  void transfer(StateIo& io, std::size_t pending);
  // The complete frame's features [channels][frame_features]; the next frame begins.
  const float* features();

 private:
  struct Track {
    bool fresh;  // no valid sample just before the frame: the filters start with its first one
  };
  // Means of d^2 and d^4 over the samples that count.
  struct Moments {
    double m2 = 0.0, m4 = 0.0;
  };
  void channel(std::size_t c);
  std::size_t gather(std::size_t c);
  void bridge(std::size_t c, std::size_t valid);
  const float* settle(std::size_t level, bool fresh, std::size_t valid, std::size_t* counted);
  Moments moments(const float* d, const float* weight, std::size_t counted) const;
  float* signal(std::size_t level, std::size_t c) const;

  const KernelTable* kernels_;
  std::size_t length_, filled_;
  float* raw_;                          // [length][channels]
  float* smooth_[frame_levels];         // s_0 = x, s_1, ...: [C][history + length]
  float *detail_, *last_;               // [length]; last_: the coarsest smooth
  float *weight_, *settled_;            // [length]: 1 where a sample is valid; where it counts in a level; else 0
  float* features_;                     // [C][frame_features]
  Track* track_;                        // [C]
};

// A whole recording as the model sees it: its frames, or itself.
class Framing {
 public:
  Framing(const KernelTable& kernels, const FrameConfig& config, std::size_t raw_channels, std::size_t raw_samples);
  Framing(const Framing&) = delete;
  Framing& operator=(const Framing&) = delete;
  ~Framing() { block_free(block_); }
  bool ready() const { return !on_ || block_ != nullptr; }  // the memory was there
  // Samples behind the last full frame are dropped.
  const float* run(const float* x);

  const std::size_t samples, channels;

 private:
  Framer framer_ = {};
  bool on_;
  void* block_ = nullptr;
  float* frames_ = nullptr;
};

// The names of the features, in order: level1_rms .. level5_rms, smooth_rms, kurtosis.
extern const char* const frame_feature_names[frame_features];

// The frames of a request. frame_ms: 0 = none; above 0: milliseconds a frame; below 0: chosen from the rate. `stored`: those of the
// model's file. samples: the reference's length, 0 = unknown. docs/frames.md section 4. False: the request makes no sense.
bool choose_frame(const FrameConfig& stored, float frame_ms, float period_s, std::size_t samples, FrameConfig* frame, Error* error);

// Whether the frames of so many channels are within max_channels.
bool channels_fit(const FrameConfig& frame, std::size_t channels, Error* error);

// Whether a recording's sampling period (0 = unknown) is that of the frames, to 1 %.
bool same_period(const FrameConfig& frame, float period_s);

}  // namespace sanderling
