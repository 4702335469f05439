// The operator sanderling.Score for onnxruntime: the native engine inside a session, a pure function of its inputs (docs/runtimes.md).
//
//   attribute model      the bytes of a native file, calibrated or not
//   input x              float32 (n, C): raw samples, NaN where missing; n may be 0
//   input state          uint8 (s): what the last call returned; empty: a new stream
//   input end            bool (1): the recording ends behind x
//   input options        float32 (0..5), read where state is empty: false_alarms, period_s, frame_ms, dynamic, threads
//   output score         float32 (k): of the samples whose patches are complete, with `end` of all
//   output channel_score, reconstruction   float32 (k, outputs)
//   output components    float32 (patches, outputs, 8)
//   output skipped       uint8 (patches, outputs)
//   output threshold     float32 (1): NaN while cold
//   output counts        int64 (7): samples, tokens, skipped tokens, samples a patch, samples a frame, cold samples, outputs
//   output state         uint8 (s'): for the next call; empty after `end`
//
// Of onnxruntime's interface only what version 16 has is used: the first one whose kernels report errors instead of throwing them.
#include <onnxruntime_c_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <new>

#include "model/engine.h"

namespace sanderling {
namespace {

constexpr std::uint32_t api_version = 16;
constexpr std::size_t n_options = 5, most_idle = 4;

struct Port {
  const char* name;
  ONNXTensorElementDataType type;
};
enum Input { in_x, in_state, in_end, in_options, n_inputs };
enum Output { out_score, out_channel_score, out_reconstruction, out_components, out_skipped, out_threshold, out_counts, out_state, n_outputs };
constexpr Port inputs[n_inputs] = {{"x", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},
                                   {"state", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
                                   {"end", ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL},
                                   {"options", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT}};
constexpr ONNXTensorElementDataType outputs[n_outputs] = {
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
    ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8};

struct View {
  const void* data;
  std::int64_t dims[2];
  std::size_t rank, count;
};

// Word by word: it tells models apart, no more.
std::uint64_t name_of(const std::uint8_t* data, std::size_t size) {
  std::uint64_t hash = 0xcbf29ce484222325u ^ size;
  for (std::size_t i = 0; i < size; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, data + i, std::min<std::size_t>(8, size - i));
    hash = (hash ^ word) * 0x100000001b3u;
    hash ^= hash >> 29;
  }
  return hash;
}

class Kernel {
 public:
  explicit Kernel(const OrtApi& api) : api_(api) {}
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  ~Kernel() {
    for (Idle* idle = idle_; idle < idle_ + n_idle_; ++idle) stream_close(idle->stream);
    model_close(model_);
  }

  OrtStatus* open(const OrtKernelInfo* info) {
    std::size_t size = 0;
    if (OrtStatus* status = api_.KernelInfoGetAttribute_string(info, "model", nullptr, &size)) return status;
    char* bytes = new (std::nothrow) char[size];
    if (bytes == nullptr) return refuse(ORT_FAIL, "expected memory for a model, found none; free some");
    OrtStatus* status = api_.KernelInfoGetAttribute_string(info, "model", bytes, &size);
    if (status == nullptr) {
      Error error;
      const auto* data = reinterpret_cast<const std::uint8_t*>(bytes);
      size -= size > 0;  // it ends with a zero
      model_ = model_parse(data, size, nullptr, &error);
      id_ = name_of(data, size);
      if (model_ == nullptr) status = refuse(ORT_INVALID_GRAPH, error.message);
    }
    delete[] bytes;
    return status;
  }

  OrtStatus* compute(OrtKernelContext* context) {
    View x, state, end, options;
    if (OrtStatus* status = view(context, in_x, 2, &x)) return status;
    if (OrtStatus* status = view(context, in_state, 1, &state)) return status;
    if (OrtStatus* status = view(context, in_end, 1, &end)) return status;
    if (OrtStatus* status = view(context, in_options, 1, &options)) return status;
    if (end.count != 1 || options.count > n_options)
      return refuse(ORT_INVALID_ARGUMENT, "expected one value of end and at most 5 options, found other counts; see the operator's inputs");

    Error error;
    Call call = {static_cast<std::size_t>(x.dims[1]), {}};
    const auto* from = static_cast<const std::uint8_t*>(state.data);
    if (state.count == 0) {
      take_options(static_cast<const float*>(options.data), options.count, &call.options);
    } else {
      std::size_t channels = 0;
      if (!stream_state_request(from, state.count, &channels, &call.options, &error)) return refuse(ORT_INVALID_ARGUMENT, error.message);
      if (channels != call.channels)
        return refuse(ORT_INVALID_ARGUMENT, "expected x with the state's channels, found another number; start again with an empty state");
    }
    Stream* stream = take(call, &error);
    if (stream == nullptr) return refuse(ORT_INVALID_ARGUMENT, error.message);
    if (state.count == 0) stream_restart(stream);
    OrtStatus* status = state.count == 0 || stream_state_restore(stream, id_, from, state.count, &error)
                            ? score(context, stream, x, *static_cast<const bool*>(end.data))
                            : refuse(ORT_INVALID_ARGUMENT, error.message);
    give_back(call, stream);
    return status;
  }

 private:
  struct Call {
    std::size_t channels;
    CalibrateOptions options;

    bool operator==(const Call& o) const {
      const CalibrateOptions &a = options, &b = o.options;
      return channels == o.channels && a.false_alarms == b.false_alarms && a.period_s == b.period_s && a.frame_ms == b.frame_ms &&
             a.threads == b.threads && a.dynamic == b.dynamic && a.standard_scaling == b.standard_scaling;
    }
  };
  // Streams between calls: opening one takes memory, restoring its state none.
  struct Idle {
    Call call;
    Stream* stream;
  };

  OrtStatus* refuse(OrtErrorCode code, const char* message) const { return api_.CreateStatus(code, message); }

  OrtStatus* view(OrtKernelContext* context, Input which, std::size_t rank, View* out) const {
    const OrtValue* value = nullptr;
    OrtTensorTypeAndShapeInfo* info = nullptr;
    void* data = nullptr;
    if (OrtStatus* status = api_.KernelContext_GetInput(context, which, &value)) return status;
    if (OrtStatus* status = api_.GetTensorTypeAndShape(value, &info)) return status;
    OrtStatus* status = api_.GetDimensionsCount(info, &out->rank);
    const bool fits = status == nullptr && out->rank == rank;
    if (fits) status = api_.GetDimensions(info, out->dims, rank);
    if (fits && status == nullptr) status = api_.GetTensorShapeElementCount(info, &out->count);
    api_.ReleaseTensorTypeAndShapeInfo(info);
    if (status != nullptr) return status;
    if (!fits) {
      char message[128];
      std::snprintf(message, sizeof message, "expected %s of rank %zu, found rank %zu; reshape it", inputs[which].name, rank, out->rank);
      return refuse(ORT_INVALID_ARGUMENT, message);
    }
    status = api_.GetTensorMutableData(const_cast<OrtValue*>(value), &data);  // there is no other way to the data
    out->data = data;
    return status;
  }

  template <typename T>
  OrtStatus* place(OrtKernelContext* context, Output which, std::initializer_list<std::int64_t> dims, T** data) const {
    OrtValue* value = nullptr;
    void* found = nullptr;
    if (OrtStatus* status = api_.KernelContext_GetOutput(context, which, dims.begin(), dims.size(), &value)) return status;
    if (OrtStatus* status = api_.GetTensorMutableData(value, &found)) return status;
    *data = static_cast<T*>(found);
    return nullptr;
  }

  static void take_options(const float* given, std::size_t n, CalibrateOptions* options) {
    float values[n_options] = {options->false_alarms, options->period_s, options->frame_ms, 0.0f, 1.0f};
    std::copy_n(given, n, values);
    options->false_alarms = values[0];
    options->period_s = values[1];
    options->frame_ms = values[2];
    options->dynamic = values[3] != 0.0f;
    options->threads = values[4] >= 1.0f && values[4] <= 1024.0f ? static_cast<std::size_t>(values[4]) : 1;
  }

  Stream* take(const Call& call, Error* error) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (Idle* idle = idle_; idle < idle_ + n_idle_; ++idle)
        if (idle->call == call) {
          Stream* stream = idle->stream;
          *idle = idle_[--n_idle_];
          return stream;
        }
    }
    return stream_open(model_, call.channels, call.options, error);
  }

  void give_back(const Call& call, Stream* stream) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (n_idle_ < most_idle) {
        idle_[n_idle_++] = {call, stream};
        return;
      }
    }
    stream_close(stream);
  }

  OrtStatus* score(OrtKernelContext* context, Stream* stream, const View& x, bool end) const {
    const std::uint64_t before = stream_samples(stream), n = static_cast<std::uint64_t>(x.dims[0]);
    const std::size_t patch = stream_patch(stream), columns = stream_outputs(stream);
    const std::uint64_t done = before / patch * patch, complete = (before + n) / patch * patch - done;
    const std::uint64_t rows = end ? before + n - done : complete, patches = (rows + patch - 1) / patch;
    const auto k = static_cast<std::int64_t>(rows), p = static_cast<std::int64_t>(patches), C = static_cast<std::int64_t>(columns);
    Scores out;
    float* threshold = nullptr;
    std::int64_t* counts = nullptr;
    std::uint8_t* state = nullptr;
    if (OrtStatus* s = place(context, out_score, {k}, &out.score)) return s;
    if (OrtStatus* s = place(context, out_channel_score, {k, C}, &out.channel_score)) return s;
    if (OrtStatus* s = place(context, out_reconstruction, {k, C}, &out.reconstruction)) return s;
    if (OrtStatus* s = place(context, out_components, {p, C, 8}, &out.components)) return s;
    if (OrtStatus* s = place(context, out_skipped, {p, C}, &out.skipped)) return s;
    if (OrtStatus* s = place(context, out_threshold, {1}, &threshold)) return s;
    if (OrtStatus* s = place(context, out_counts, {7}, &counts)) return s;

    Error error;
    out.capacity = static_cast<std::size_t>(rows);
    if (!stream_update(stream, static_cast<const float*>(x.data), static_cast<std::size_t>(n), &out, &error))
      return refuse(ORT_INVALID_ARGUMENT, error.message);
    if (end) {
      Scores tail = out;
      tail.score += complete;
      tail.channel_score += complete * columns;
      tail.reconstruction += complete * columns;
      tail.components += complete / patch * columns * 8;
      tail.skipped += complete / patch * columns;
      tail.capacity = static_cast<std::size_t>(rows - complete);
      if (!stream_flush(stream, &tail, &error)) return refuse(ORT_INVALID_ARGUMENT, error.message);
    }
    *threshold = stream_threshold(stream);
    const std::uint64_t values[7] = {stream_samples(stream), stream_tokens(stream), stream_skipped(stream), patch,
                                     stream_frame_samples(stream), stream_cold_samples(stream), columns};
    for (std::size_t i = 0; i < 7; ++i) counts[i] = static_cast<std::int64_t>(values[i]);
    const std::size_t bytes = stream_state_bytes(stream);
    if (OrtStatus* s = place(context, out_state, {static_cast<std::int64_t>(bytes)}, &state)) return s;
    if (bytes > 0) stream_state_save(stream, id_, state);
    return nullptr;
  }

  const OrtApi& api_;
  Model* model_ = nullptr;
  std::uint64_t id_ = 0;
  std::mutex mutex_;
  Idle idle_[most_idle] = {};
  std::size_t n_idle_ = 0;
};

OrtStatusPtr ORT_API_CALL create(const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo* info, void** kernel) {
  auto* made = new (std::nothrow) Kernel(*api);
  if (made == nullptr) return api->CreateStatus(ORT_FAIL, "expected memory for a model, found none; free some");
  OrtStatus* status = made->open(info);
  if (status != nullptr) {
    delete made;
    return status;
  }
  *kernel = made;
  return nullptr;
}

// Fields behind CreateKernelV2 and KernelComputeV2 belong to later versions and are not read of this one.
OrtCustomOp make_operator() {
  OrtCustomOp op = {};
  op.version = api_version;
  op.GetName = [](const OrtCustomOp*) { return "Score"; };
  op.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };  // the processor
  op.GetInputTypeCount = [](const OrtCustomOp*) -> std::size_t { return n_inputs; };
  op.GetInputType = [](const OrtCustomOp*, std::size_t i) { return inputs[i].type; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> std::size_t { return n_outputs; };
  op.GetOutputType = [](const OrtCustomOp*, std::size_t i) { return outputs[i]; };
  op.GetInputCharacteristic = [](const OrtCustomOp*, std::size_t) { return INPUT_OUTPUT_REQUIRED; };
  op.GetOutputCharacteristic = [](const OrtCustomOp*, std::size_t) { return INPUT_OUTPUT_REQUIRED; };
  op.GetInputMemoryType = [](const OrtCustomOp*, std::size_t) { return OrtMemTypeDefault; };
  op.GetVariadicInputMinArity = [](const OrtCustomOp*) { return 1; };
  op.GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 1; };
  op.GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 1; };
  op.GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 1; };
  op.CreateKernelV2 = create;
  op.KernelComputeV2 = [](void* kernel, OrtKernelContext* context) -> OrtStatusPtr { return static_cast<Kernel*>(kernel)->compute(context); };
  op.KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  return op;
}

// A domain a runtime of the process; sessions refer to it, so it stays.
struct Domain {
  const OrtApiBase* base;
  OrtCustomOpDomain* domain;
  Domain* next;
};

OrtStatus* register_ops(OrtSessionOptions* options, const OrtApiBase* base) {
  static const OrtCustomOp op = make_operator();
  static std::mutex mutex;
  static Domain* domains = nullptr;
  const OrtApi* api = base->GetApi(api_version);
  if (api == nullptr) {
    api = base->GetApi(1);
    return api == nullptr ? nullptr : api->CreateStatus(ORT_NOT_IMPLEMENTED, "expected onnxruntime 1.16 or later, found an older one; update it");
  }
  const std::lock_guard<std::mutex> lock(mutex);
  Domain* known = domains;
  while (known != nullptr && known->base != base) known = known->next;
  if (known == nullptr) {
    known = new (std::nothrow) Domain{base, nullptr, domains};
    if (known == nullptr) return api->CreateStatus(ORT_FAIL, "expected memory for a domain, found none; free some");
    OrtStatus* status = api->CreateCustomOpDomain("sanderling", &known->domain);
    if (status == nullptr) status = api->CustomOpDomain_Add(known->domain, &op);
    if (status != nullptr) {
      delete known;
      return status;
    }
    domains = known;
  }
  return api->AddCustomOpDomain(options, known->domain);
}

}  // namespace
}  // namespace sanderling

extern "C" __attribute__((visibility("default"))) OrtStatus* ORT_API_CALL RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  return sanderling::register_ops(options, base);
}
