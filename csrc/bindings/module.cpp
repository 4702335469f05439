#include "bindings.h"

PYBIND11_MODULE(_core, module) {
  module.doc() = "Sanderling's C++ core: models, streams and the instruction sets compiled in.";
  sanderling::bindings::register_isa(module);
  sanderling::bindings::register_model(module);
  sanderling::bindings::register_stream(module);
  sanderling::bindings::register_wavelet(module);
  sanderling::bindings::register_group(module);
  sanderling::bindings::register_text(module);
}
