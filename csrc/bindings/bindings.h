// The seam between the engine and Python: handles that own engine objects, and the translation of errors.
// Arrays come in as float32, C-contiguous, aligned numpy arrays and are read in place. The GIL is released during the work.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <mutex>

#include "../model/engine.h"

namespace sanderling::bindings {

namespace py = pybind11;

using FloatArray = py::array_t<float, py::array::c_style>;

// Raises the class of sanderling.errors that stands for error.status.
[[noreturn]] void raise(const Error& error);
[[noreturn]] void raise(Status status, const char* message);

// The recording's pointer and shape; raises ShapeError unless x is (time, channels) and aligned.
struct Signal {
  const float* data;
  std::size_t samples, channels;
};
Signal signal_of(const FloatArray& x);

struct ModelHandle {
  explicit ModelHandle(Model* opened) : raw(opened) {}
  ModelHandle(const ModelHandle&) = delete;
  ModelHandle& operator=(const ModelHandle&) = delete;
  ~ModelHandle() { model_close(raw); }
  Model* raw;
};

// What streams and groups of them are opened with.
inline CalibrateOptions stream_options(float false_alarms, float period_s, float frame_ms, bool dynamic, std::size_t threads) {
  CalibrateOptions options;
  options.false_alarms = false_alarms;
  options.period_s = period_s;
  options.frame_ms = frame_ms;
  options.dynamic = dynamic;
  options.threads = threads;
  return options;
}

// A stream keeps its model open: the engine wants streams closed first.
struct StreamHandle {
  StreamHandle(std::shared_ptr<ModelHandle> owner, Stream* opened, std::size_t width)
      : model(std::move(owner)), raw(opened), channels(width) {}
  StreamHandle(const StreamHandle&) = delete;
  StreamHandle& operator=(const StreamHandle&) = delete;
  ~StreamHandle() { stream_close(raw); }
  std::shared_ptr<ModelHandle> model;
  Stream* raw;
  std::size_t channels;
  std::mutex mutex;  // two Python threads may hold the same stream while the GIL is released
};

void register_isa(py::module_& module);
void register_model(py::module_& module);
void register_stream(py::module_& module);
void register_wavelet(py::module_& module);
void register_group(py::module_& module);
void register_text(py::module_& module);

}  // namespace sanderling::bindings
