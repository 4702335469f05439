#include <vector>

#include <pybind11/stl.h>

#include "bindings.h"

namespace sanderling::bindings {
namespace {

struct GroupHandle {
  GroupHandle(std::shared_ptr<ModelHandle> owner, StreamGroup* opened, std::size_t width)
      : model(std::move(owner)), raw(opened), channels(width) {}
  GroupHandle(const GroupHandle&) = delete;
  GroupHandle& operator=(const GroupHandle&) = delete;
  ~GroupHandle() { group_close(raw); }
  std::shared_ptr<ModelHandle> model;
  StreamGroup* raw;
  std::size_t channels;
  std::mutex mutex;
};

std::unique_ptr<GroupHandle> open(std::shared_ptr<ModelHandle> model, std::size_t n, std::size_t channels, float false_alarms,
                                  float period_s, float frame_ms, bool dynamic, std::size_t threads) {
  const CalibrateOptions options = stream_options(false_alarms, period_s, frame_ms, dynamic, threads);
  Error error;
  StreamGroup* group = group_open(model->raw, n, channels, options, &error);
  if (group == nullptr) raise(error);
  return std::make_unique<GroupHandle>(std::move(model), group, channels);
}

// Score arrays of a group at full capacity, cut to what was written.
struct Outputs {
  std::vector<py::array_t<float>> arrays;
  std::vector<Scores> scores;

  void add(std::size_t capacity) {
    arrays.emplace_back(static_cast<py::ssize_t>(capacity));
    scores.emplace_back();
    scores.back().score = arrays.back().mutable_data();
    scores.back().capacity = capacity;
  }
  py::list take() {
    py::list list(arrays.size());
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      arrays[i].resize({static_cast<py::ssize_t>(scores[i].written)}, false);
      list[i] = arrays[i];
    }
    return list;
  }
};

py::list update(GroupHandle& group, const std::vector<FloatArray>& chunks) {
  const std::size_t n = group_size(group.raw), patch = stream_patch(group_stream(group.raw, 0));
  if (chunks.size() != n) raise(Status::argument, "expected one chunk a stream of the group, found another number; pass an empty one");
  std::vector<const float*> x;
  std::vector<std::size_t> samples;
  Outputs out;
  for (const FloatArray& chunk : chunks) {
    const Signal signal = signal_of(chunk);
    if (signal.channels != group.channels) raise(Status::argument, "expected chunks of the group's channels, found others; pass (time, channels)");
    x.push_back(signal.data);
    samples.push_back(signal.samples);
    out.add(signal.samples + patch - 1);
  }
  Error error;
  bool ok = false;
  {
    py::gil_scoped_release nogil;
    std::lock_guard<std::mutex> lock(group.mutex);
    ok = group_update(group.raw, x.data(), samples.data(), out.scores.data(), &error);
  }
  if (!ok) raise(error);
  return out.take();
}

py::list flush(GroupHandle& group) {
  const std::size_t n = group_size(group.raw), patch = stream_patch(group_stream(group.raw, 0));
  Outputs out;
  for (std::size_t i = 0; i < n; ++i) out.add(patch);
  Error error;
  bool ok = true;
  {
    py::gil_scoped_release nogil;
    std::lock_guard<std::mutex> lock(group.mutex);
    for (std::size_t i = 0; ok && i < n; ++i) ok = stream_flush(group_stream(group.raw, i), &out.scores[i], &error);
  }
  if (!ok) raise(error);
  return out.take();
}

py::list thresholds(GroupHandle& group) {
  std::lock_guard<std::mutex> lock(group.mutex);
  py::list list;
  for (std::size_t i = 0; i < group_size(group.raw); ++i) list.append(stream_threshold(group_stream(group.raw, i)));
  return list;
}

}  // namespace

void register_group(py::module_& module) {
  py::class_<GroupHandle>(module, "StreamGroup", "Streams of one model whose patches go through the network together.")
      .def(py::init(&open), py::arg("model"), py::arg("n"), py::arg("channels"), py::arg("false_alarms"), py::arg("period_s"),
           py::arg("frame_ms") = -1.0f, py::arg("dynamic") = false, py::arg("threads") = 1)
      .def("update", &update, py::arg("chunks"), "A chunk (time, channels) a stream in, a list of score arrays out.")
      .def("flush", &flush, "The scores of the tails; ends the streams.")
      .def_property_readonly("thresholds", &thresholds)
      .def_property_readonly("patch", [](const GroupHandle& g) { return stream_patch(group_stream(g.raw, 0)); })
      .def_readonly("channels", &GroupHandle::channels)
      .def("__len__", [](const GroupHandle& g) { return group_size(g.raw); });
}

}  // namespace sanderling::bindings
