#include "bindings.h"

namespace sanderling::bindings {
namespace {

constexpr py::ssize_t kComponents = 8;

// Output arrays at full capacity, cut to what was written.
class Outputs {
 public:
  Outputs(std::size_t capacity, std::size_t channels, std::size_t patch, bool blame, bool reconstruction)
      : channels_(static_cast<py::ssize_t>(channels)), patch_(patch), score_(static_cast<py::ssize_t>(capacity)) {
    const auto rows = static_cast<py::ssize_t>(capacity);
    scores.capacity = capacity;
    scores.score = score_.mutable_data();
    if (blame) {
      channel_score_ = py::array_t<float>({rows, channels_});
      components_ = py::array_t<float>({static_cast<py::ssize_t>(capacity / patch), channels_, kComponents});
      skipped_ = py::array_t<std::uint8_t>({static_cast<py::ssize_t>(capacity / patch), channels_});
      scores.channel_score = channel_score_.mutable_data();
      scores.skipped = skipped_.mutable_data();
      scores.components = components_.mutable_data();
    }
    if (reconstruction) {
      reconstruction_ = py::array_t<float>({rows, channels_});
      scores.reconstruction = reconstruction_.mutable_data();
    }
  }

  py::tuple take() {
    const auto rows = static_cast<py::ssize_t>(scores.written);
    const auto patches = static_cast<py::ssize_t>((scores.written + patch_ - 1) / patch_);
    score_.resize({rows}, false);
    py::object channel_score = py::none(), components = py::none(), reconstruction = py::none(), skipped = py::none();
    if (scores.channel_score != nullptr) {
      channel_score_.resize({rows, channels_}, false);
      components_.resize({patches, channels_, kComponents}, false);
      channel_score = channel_score_;
      components = components_;
      skipped_.resize({patches, channels_}, false);
      skipped = skipped_;
    }
    if (scores.reconstruction != nullptr) {
      reconstruction_.resize({rows, channels_}, false);
      reconstruction = reconstruction_;
    }
    return py::make_tuple(score_, channel_score, components, reconstruction, skipped);
  }

  Scores scores;

 private:
  py::ssize_t channels_;
  std::size_t patch_;
  py::array_t<float> score_, channel_score_, components_, reconstruction_;
  py::array_t<std::uint8_t> skipped_;
};

std::unique_ptr<StreamHandle> open(std::shared_ptr<ModelHandle> model, std::size_t channels, float false_alarms,
                                   float period_s, float frame_ms, bool dynamic, std::size_t threads) {
  const CalibrateOptions options = stream_options(false_alarms, period_s, frame_ms, dynamic, threads);
  Error error;
  Stream* stream = stream_open(model->raw, channels, options, &error);
  if (stream == nullptr) raise(error);
  return std::make_unique<StreamHandle>(std::move(model), stream, channels);
}

py::tuple update(StreamHandle& stream, const FloatArray& x, bool blame, bool reconstruction) {
  const Signal signal = signal_of(x);
  if (signal.channels != stream.channels) raise(Status::argument, "the chunk's channels differ from the stream's");
  const std::size_t patch = stream_patch(stream.raw);
  Outputs out(signal.samples + patch - 1, stream_outputs(stream.raw), patch, blame, reconstruction);
  Error error;
  bool ok = false;
  {
    py::gil_scoped_release nogil;
    std::lock_guard<std::mutex> lock(stream.mutex);
    ok = stream_update(stream.raw, signal.data, signal.samples, &out.scores, &error);
  }
  if (!ok) raise(error);
  return out.take();
}

py::tuple flush(StreamHandle& stream, bool blame, bool reconstruction) {
  const std::size_t patch = stream_patch(stream.raw);
  Outputs out(patch, stream_outputs(stream.raw), patch, blame, reconstruction);
  Error error;
  bool ok = false;
  {
    py::gil_scoped_release nogil;
    std::lock_guard<std::mutex> lock(stream.mutex);
    ok = stream_flush(stream.raw, &out.scores, &error);
  }
  if (!ok) raise(error);
  return out.take();
}

float threshold(StreamHandle& stream) {
  std::lock_guard<std::mutex> lock(stream.mutex);
  return stream_threshold(stream.raw);
}

std::uint64_t tokens(StreamHandle& stream) {
  std::lock_guard<std::mutex> lock(stream.mutex);
  return stream_tokens(stream.raw);
}

std::uint64_t skipped(StreamHandle& stream) {
  std::lock_guard<std::mutex> lock(stream.mutex);
  return stream_skipped(stream.raw);
}

std::uint64_t samples(StreamHandle& stream) {
  std::lock_guard<std::mutex> lock(stream.mutex);
  return stream_samples(stream.raw);
}

}  // namespace

void register_stream(py::module_& module) {
  py::class_<StreamHandle>(module, "Stream", "A causal scorer over chunks of a recording.")
      .def(py::init(&open), py::arg("model"), py::arg("channels"), py::arg("false_alarms"), py::arg("period_s"),
           py::arg("frame_ms") = -1.0f, py::arg("dynamic") = false, py::arg("threads") = 1)
      .def("update", &update, py::arg("x").noconvert(), py::arg("blame") = false, py::arg("reconstruction") = false,
           "Takes x (time, channels) and returns (score, channel_score, components, reconstruction, skipped) of the patches "
           "completed so far; what was not asked for is None. blame asks for channel_score, components and skipped.")
      .def("flush", &flush, py::arg("blame") = false, py::arg("reconstruction") = false,
           "The same for the tail; ends the stream.")
      .def_property_readonly("threshold", &threshold)
      .def_property_readonly("samples", &samples)
      .def_property_readonly("tokens", &tokens)
      .def_property_readonly("skipped", &skipped)
      .def_property_readonly("patch", [](const StreamHandle& s) { return stream_patch(s.raw); })
      .def_property_readonly("cold_samples", [](const StreamHandle& s) { return stream_cold_samples(s.raw); })
      .def_property_readonly("frame_samples", [](const StreamHandle& s) { return stream_frame_samples(s.raw); })
      .def_property_readonly("outputs", [](const StreamHandle& s) { return stream_outputs(s.raw); })
      .def_readonly("channels", &StreamHandle::channels);
}

}  // namespace sanderling::bindings
