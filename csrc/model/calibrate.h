// Calibration: passes of the forward state machine over a reference (docs/model.md section 8).
#pragma once
#include "forward.h"

namespace sanderling {

struct Calibrator {
  // Scratch for a reference of `samples`.
  void place(Arena& arena, std::size_t channels, std::size_t samples);
  // Fills `cal` (placed for the channels and rows of this reference) from x [samples][channels]. Takes no memory. `state` is
  // left as after the reference; reset() it before scoring.
  void run(Forward* forward, State* state, Calibration* cal, const float* x, std::size_t samples, bool standard_scaling, float false_alarms,
           float period_s);

 private:
  // What the passes of one reference share.
  struct Reference {
    Forward* forward;
    State* state;
    Calibration* cal;
    const float* x;
    std::size_t tokens, warm;
  };
  void find_levels(const Reference& reference);
  void raw_medians(const Reference& reference, float* median);

  float* sorted;      // [max(samples, tokens)]
  float* components;  // [C][8][tokens]
  float* smoothed;    // [C][tokens]
  float* scores;      // [tokens]
  float* across;      // [C]
  float* whole;       // [C]
};

}  // namespace sanderling
