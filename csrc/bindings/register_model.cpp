#include <string>

#include "bindings.h"

namespace sanderling::bindings {
namespace {

std::shared_ptr<ModelHandle> adopt(Model* model, const Error& error) {
  if (model == nullptr) raise(error);
  return std::make_shared<ModelHandle>(model);
}

std::shared_ptr<ModelHandle> open(const std::string& path, const std::string& isa) {
  Error error;
  Model* model = nullptr;
  {
    py::gil_scoped_release nogil;
    model = model_open(path.c_str(), isa.c_str(), &error);
  }
  return adopt(model, error);
}

std::shared_ptr<ModelHandle> parse(const py::bytes& data, const std::string& isa) {
  char* bytes = nullptr;
  py::ssize_t size = 0;
  if (PyBytes_AsStringAndSize(data.ptr(), &bytes, &size) != 0) throw py::error_already_set();
  Error error;
  Model* model = nullptr;
  {
    py::gil_scoped_release nogil;
    model = model_parse(reinterpret_cast<const std::uint8_t*>(bytes), static_cast<std::size_t>(size), isa.c_str(),
                        &error);
  }
  return adopt(model, error);
}

std::shared_ptr<ModelHandle> calibrate(const std::shared_ptr<ModelHandle>& base, const FloatArray& x,
                                       bool standard_scaling, float false_alarms, float period_s, float frame_ms) {
  const Signal signal = signal_of(x);
  CalibrateOptions options;
  options.standard_scaling = standard_scaling;
  options.false_alarms = false_alarms;
  options.period_s = period_s;
  options.frame_ms = frame_ms;
  Error error;
  Model* model = nullptr;
  {
    py::gil_scoped_release nogil;
    model = model_calibrate(base->raw, signal.data, signal.samples, signal.channels, options, &error);
  }
  return adopt(model, error);
}

void save(const ModelHandle& model, const std::string& path) {
  Error error;
  bool saved = false;
  {
    py::gil_scoped_release nogil;
    saved = model_save(model.raw, path.c_str(), &error);
  }
  if (!saved) raise(error);
}

py::array_t<float> frames(const FloatArray& x, std::size_t frame_samples, const std::string& isa) {
  const Signal signal = signal_of(x);
  std::size_t features = 0;
  frame_feature_list(&features);
  const std::size_t rows = frame_samples == 0 ? 0 : signal.samples / frame_samples;
  py::array_t<float> out({static_cast<py::ssize_t>(rows), static_cast<py::ssize_t>(signal.channels * features)});
  float* const data = out.mutable_data();
  Error error;
  bool ok = false;
  {
    py::gil_scoped_release nogil;
    ok = make_frames(isa.c_str(), signal.data, signal.samples, signal.channels, frame_samples, data, &error);
  }
  if (!ok) raise(error);
  return out;
}

py::dict info(const ModelHandle& model) {
  ModelInfo i;
  model_info(model.raw, &i);
  using namespace py::literals;
  return py::dict("variant"_a = i.variant, "isa"_a = i.isa, "d_model"_a = i.d_model, "n_layers"_a = i.n_layers,
                  "window"_a = i.window, "patch"_a = i.patch, "levels"_a = i.levels,
                  "cold_samples"_a = i.cold_samples, "memory_tokens"_a = i.memory_tokens,
                  "min_reference"_a = i.min_reference, "frame_samples"_a = i.frame_samples,
                  "outputs"_a = i.outputs, "calibrated"_a = i.calibrated, "channels"_a = i.channels,
                  "reference_samples"_a = i.reference_samples, "scaling"_a = i.scaling, "threshold"_a = i.threshold,
                  "false_alarms"_a = i.false_alarms, "period_s"_a = i.period_s, "weight_bytes"_a = i.weight_bytes);
}

}  // namespace

void register_model(py::module_& module) {
  std::size_t count = 0;
  const char* const* const features = frame_feature_list(&count);
  py::tuple names(count);
  for (std::size_t i = 0; i < count; ++i) names[i] = py::str(features[i]);
  module.attr("frame_features") = names;
  module.def("frames", &frames, py::arg("x").noconvert(), py::arg("frame_samples"), py::arg("isa") = "",
             "The frames of x (time, channels): float32 (time // frame_samples, channels * features).");
  py::class_<ModelHandle, std::shared_ptr<ModelHandle>>(module, "Model", "A native model, checked and packed.")
      .def_static("open", &open, py::arg("path"), py::arg("isa") = "",
                  "Opens a file (path as bytes in the file system's encoding). isa '' = SANDERLING_ISA, then the best.")
      .def_static("parse", &parse, py::arg("data"), py::arg("isa") = "", "The same from memory.")
      .def("calibrate", &calibrate, py::arg("x").noconvert(), py::arg("standard_scaling"), py::arg("false_alarms"),
           py::arg("period_s"), py::arg("frame_ms") = -1.0f,
           "A new model calibrated on x (time, channels); period_s 0 = unknown; frame_ms 0 = no frames, < 0 = chosen.")
      .def("save", &save, py::arg("path"), "Writes atomically: temporary file, fsync, rename.")
      .def("info", &info, "What the file says, as a dict.");
}

}  // namespace sanderling::bindings
