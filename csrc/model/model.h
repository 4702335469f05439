// What the opaque Model of engine.h is.
#pragma once
#include "calibration.h"

namespace sanderling {

class Model {
 public:
  Weights* weights = nullptr;          // counted
  Calibration* calibration = nullptr;  // &own, or nullptr
  Calibration own = {};
  void* block = nullptr;               // of own's arrays
  FrameConfig frame = {};              // the calibration's, or the file's for a cold start
};

// The table named isa, or of SANDERLING_ISA, or the best; nullptr with the error said.
const KernelTable* choose_kernels(const char* isa, Error* error);

extern const char float_environment_message[];
extern const char request_message[];

}  // namespace sanderling
