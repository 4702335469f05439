// What the opaque Stream of engine.h is: samples in, whole patches through the forward pass, scores out.
#pragma once
#include "calibrate.h"
#include "frames.h"
#include "model.h"

namespace sanderling {

class Stream {
 public:
  const Model* model;
  Calibration* calibration;  // the model's, or own
  Calibration own;
  Calibrator calibrator;
  State state;
  Forward* forward;          // shared by the streams of a group
  StreamGroup* group;
  CalibrateOptions options;
  float* staged;             // [8 max_tokens][C], samples of patches not yet complete
  float* cold;               // [cold_samples][C], a cold stream only
  float *across, *voices;    // [C]
  std::uint64_t samples;     // taken so far by the machine: the recording's, or frames
  bool warm, ended;

  // A stream with frames: the same machine behind the framer.
  FrameConfig frame;
  Framer framer;
  float *frame_score, *frame_rows, *frame_hats, *frame_components;  // results of a patch of frames
  std::uint8_t* frame_skipped;
  std::uint64_t raw_samples, raw_written;

  // The memory that a stream of C model channels needs of its forward pass.
  static MemoryShape memory_of(const Model& m, std::size_t C);
  // C: the machine's channels.
  void place(Arena& arena, const Model& m, std::size_t C);
  void begin(const Model& m, const CalibrateOptions& wanted, const FrameConfig& frames, Forward* pass, StreamGroup* of);
  void restart();

  // The recording's: samples taken, channels, samples a patch.
  std::uint64_t taken() const { return frame.on() ? raw_samples : samples; }
  std::size_t raw_channels() const { return frame.raw_channels(state.channels); }
  std::size_t patch() const { return frame.raw_samples(patch_samples); }

  // Whether `out` has room for what `n` more samples complete, and the stream may go on.
  bool accepts(const float* x, std::size_t n, const Scores* out, const char* call, Error* error) const;
  void update(const float* x, std::size_t n, Scores* out);
  void flush(Scores* out);
  bool may_flush(const Scores* out, Error* error) const;

  // The parts of update() for a group: what goes on alone (frames, a cold start), then the warm patches, `tokens` at most at a time.
  void take_alone(const float** x, std::size_t* n, Scores* out);
  std::size_t stage(const float** x, std::size_t* n, std::size_t tokens);   // returns the patches that are complete
  void finish(const Part& part, Scores* out);

 private:
  // Samples of the patches of `patch` that complete between two counts.
  static std::size_t complete(std::uint64_t from, std::uint64_t upto, std::size_t patch = patch_samples) {
    return static_cast<std::size_t>(upto / patch * patch - from / patch * patch);
  }
  void take(const float* x, std::size_t n, Scores* out);
  void take_raw(const float* x, std::size_t n, Scores* out);
  void take_frame(Scores* out);
  Scores of_frames(const Scores& out) const;
  void spread_frames(const Scores& results, Scores* out);
  void take_raw_tail(Scores* out);
  void take_cold(const float* x, std::size_t n, Scores* out);
  void warm_up();
  void take_tail(Scores* out);
  void emit_cold(std::size_t n, Scores* out) const;
  void emit(const Part& part, std::size_t n, Scores* out) const;
  bool ready(const Scores* out, std::size_t room, const char* call, Error* error) const;
};

}  // namespace sanderling
