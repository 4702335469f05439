#include "engine.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "calibrate.h"
#include "frames.h"
#include "model.h"

namespace sanderling {

const char float_environment_message[] =
    "expected the default floating-point environment (round to nearest, denormals kept), found another; "
    "unload the library that set it (-ffast-math) or score in another process";
const char request_message[] = "expected false_alarms > 0 and period_s >= 0, both finite, found other values; give positive numbers";

const KernelTable* choose_kernels(const char* isa, Error* error) {
  if (isa == nullptr || *isa == 0) isa = std::getenv("SANDERLING_ISA");
  const char* why = "";
  const KernelTable* table = select_kernels(isa, &why);
  if (table == nullptr)
    fail(error, Status::isa, "expected an instruction set of %s that this processor has, found %s (%s); unset SANDERLING_ISA or choose another",
         isa_names(), isa == nullptr ? "none" : isa, why);
  return table;
}

namespace {

// Everything after the bytes are at hand. `read` opens or copies them into the file.
template <typename Read>
Model* make_model(const char* isa, Error* error, Read read) {
  if (!float_environment_ok()) return fail(error, Status::environment, "%s", float_environment_message), nullptr;
  const KernelTable* kernels = choose_kernels(isa, error);
  if (kernels == nullptr) return nullptr;
  auto* model = new (std::nothrow) Model();
  if (model != nullptr) model->weights = new (std::nothrow) Weights();
  if (model == nullptr || model->weights == nullptr) {
    delete model;
    return fail(error, Status::memory, "expected memory for a model, found none; free some"), nullptr;
  }
  Weights& weights = *model->weights;
  weights.kernels = kernels;
  CalibrationKeys keys = {};
  bool ok = read(&weights.file) && read_config(weights.file, &weights.config, &keys, error) && load_weights(&weights, error);
  model->frame = weights.config.frame;
  if (ok && keys.channels > 0) {
    ok = load_calibration(weights, keys, &model->own, &model->block, error);
    if (ok) model->calibration = &model->own;
  } else if (ok) {
    for (std::size_t i = 0; ok && i < weights.file.n_tensors; ++i)
      ok = !is_calibration_tensor(weights.file.tensors[i].name) ||
           fail(error, Status::model_format, "expected no cal.* tensors without sanderling.cal.* keys, found %s; calibrate again",
                weights.file.tensors[i].name);
  }
  if (ok) {
    weights.file.release_pages();
    return model;
  }
  model_close(model);
  return nullptr;
}

template <std::size_t N>
void copy_text(char (&to)[N], const char* from) {
  std::snprintf(to, N, "%s", from);
}

}  // namespace

Model* model_open(const char* path, const char* isa, Error* error) {
  if (path == nullptr) return fail(error, Status::argument, "expected a path, found a null pointer; name a model file"), nullptr;
  return make_model(isa, error, [&](GgufFile* file) { return file->open(path, error); });
}

Model* model_parse(const std::uint8_t* data, std::size_t size, const char* isa, Error* error) {
  return make_model(isa, error, [&](GgufFile* file) { return file->copy(data, size, error); });
}

void model_close(Model* model) {
  if (model == nullptr) return;
  if (model->weights->references.fetch_sub(1) == 1) delete model->weights;
  block_free(model->block);
  delete model;
}

void model_info(const Model* model, ModelInfo* info) {
  const Weights& weights = *model->weights;
  const Config& c = weights.config;
  *info = ModelInfo{};
  copy_text(info->variant, c.variant);
  copy_text(info->isa, weights.kernels->isa);
  info->d_model = c.d_model;
  info->n_layers = c.n_layers;
  info->window = c.window;
  info->levels = c.levels;
  info->memory_tokens = c.memory_tokens;
  const FrameConfig& frame = model->frame;
  info->patch = static_cast<std::uint32_t>(frame.raw_samples(c.patch));
  info->cold_samples = static_cast<std::uint32_t>(frame.raw_samples(c.cold_samples));
  info->min_reference = static_cast<std::uint32_t>(frame.raw_samples(min_reference));
  info->frame_samples = frame.samples;
  info->weight_bytes = weights.stored_bytes;
  if (model->calibration == nullptr) return;
  const CalibrationKeys& keys = model->calibration->keys;
  info->calibrated = true;
  info->channels = static_cast<std::uint32_t>(frame.raw_channels(keys.channels));
  info->outputs = keys.channels;
  info->reference_samples = static_cast<std::uint32_t>(std::min<std::uint64_t>(frame.raw_samples(keys.samples), 0xffffffffu));
  copy_text(info->scaling, keys.standard_scaling ? "standard" : "robust");
  info->threshold = keys.threshold;
  info->false_alarms = keys.false_alarms;
  info->period_s = frame.on() ? frame.period_s : keys.period_s;
}

Model* model_calibrate(const Model* base, const float* x, std::size_t samples, std::size_t channels, const CalibrateOptions& options,
                       Error* error) {
  if (base == nullptr || x == nullptr)
    return fail(error, Status::argument, "expected a model and a recording, found a null pointer; open a model first"), nullptr;
  if (channels < 1 || channels > max_channels)
    return fail(error, Status::argument, "expected 1 to %u channels, found %zu; select channels", max_channels, channels), nullptr;
  if (!valid_request(options.false_alarms, options.period_s)) return fail(error, Status::argument, "%s", request_message), nullptr;
  FrameConfig frame;
  if (!choose_frame(base->frame, options.frame_ms, options.period_s, samples, &frame, error)) return nullptr;
  if (samples < frame.raw_samples(min_reference))
    return fail(error, Status::data, "expected a reference of at least %zu samples%s, found %zu; give a longer normal recording%s",
                frame.raw_samples(min_reference), frame.on() ? " (256 frames)" : "", samples, frame.on() ? " or a shorter frame_ms" : ""),
           nullptr;
  if (!channels_fit(frame, channels, error)) return nullptr;
  if (samples > 0x7fffffffu)
    return fail(error, Status::data, "expected a reference of fewer than 2^31 samples, found %zu; give a shorter one", samples), nullptr;
  Framing framing(*base->weights->kernels, frame, channels, samples);
  if (!framing.ready())
    return fail(error, Status::memory, "expected memory for %zu frames of %zu channels, found less; give fewer", framing.samples, channels),
           nullptr;
  const float period_s = frame.on() ? frame.model_period() : options.period_s;
  x = framing.run(x);
  samples = framing.samples;
  channels = framing.channels;
  if (std::none_of(x, x + samples * channels, [](float v) { return std::isfinite(v); }))
    return fail(error, Status::data, "expected a reference with at least one finite sample, found none; check the recording"), nullptr;
  if (!float_environment_ok()) return fail(error, Status::environment, "%s", float_environment_message), nullptr;

  auto* model = new (std::nothrow) Model();
  if (model == nullptr) return fail(error, Status::memory, "expected memory for a model, found none; free some"), nullptr;
  model->weights = base->weights;
  model->weights->references.fetch_add(1);
  model->frame = frame;
  const Weights& weights = *model->weights;
  const MemoryShape shape = weights.config.memory_shape(samples / patch_samples, channels);
  State state = {};
  Forward forward = {};
  Calibrator calibrator = {};
  model->block = place_block([&](Arena& arena) { model->own.place(arena, *weights.kernels, channels, shape); });
  void* scratch = place_block([&](Arena& arena) {
    state.place(arena, weights, channels);
    forward.place(arena, weights, channels, shape);
    calibrator.place(arena, channels, samples);
  });
  if (model->block == nullptr || scratch == nullptr) {
    block_free(scratch);
    model_close(model);
    return fail(error, Status::memory, "expected memory to calibrate on %zu samples of %zu channels, found less; give fewer", samples, channels),
           nullptr;
  }
  calibrator.run(&forward, &state, &model->own, x, samples, options.standard_scaling, options.false_alarms, period_s);
  block_free(scratch);
  model->calibration = &model->own;
  return model;
}

bool model_save(const Model* model, const char* path, Error* error) {
  if (model == nullptr || path == nullptr || *path == 0)
    return fail(error, Status::argument, "expected a model and a path, found none; name the file to write");
  return save_model(*model->weights, model->calibration, model->frame, path, error);
}

bool make_frames(const char* isa, const float* x, std::size_t samples, std::size_t channels, std::size_t frame_samples, float* frames,
                 Error* error) {
  if (x == nullptr || frames == nullptr)
    return fail(error, Status::argument, "expected samples and a place for their frames, found a null pointer; pass both");
  if (frame_samples < min_frame || frame_samples > max_frame)
    return fail(error, Status::argument, "expected frames of %u to %u samples, found %zu; change the length", min_frame, max_frame,
                frame_samples);
  if (channels < 1 || channels > max_channels)
    return fail(error, Status::argument, "expected 1 to %u channels, found %zu; select channels", max_channels, channels);
  if (!float_environment_ok()) return fail(error, Status::environment, "%s", float_environment_message);
  const KernelTable* kernels = choose_kernels(isa, error);
  if (kernels == nullptr) return false;
  Framing framing(*kernels, {static_cast<std::uint32_t>(frame_samples), 1.0f}, channels, samples);
  if (!framing.ready())
    return fail(error, Status::memory, "expected memory for %zu frames of %zu channels, found less; give fewer", framing.samples, channels);
  std::copy_n(framing.run(x), framing.samples * framing.channels, frames);
  return true;
}

const char* isa_names() {
  static const struct Names {
    char text[256] = {0};
    Names() {
      std::size_t count = 0, used = 0;
      const KernelTable* const* tables = kernel_tables(&count);
      for (std::size_t i = 0; i < count && used < sizeof text; ++i)
        used += static_cast<std::size_t>(std::snprintf(text + used, sizeof text - used, i == 0 ? "%s" : ",%s", tables[i]->isa));
    }
  } names;
  return names.text;
}

bool float_environment_ok() {
  volatile float least = 1.17549435e-38f, denormal = 1e-45f, one = 1.0f, half_ulp = 5.9604645e-8f;
  const bool keeps_results = least * 0.5f != 0.0f;            // no FTZ
  const bool keeps_operands = denormal * 8388608.0f != 0.0f;  // no DAZ
  const bool ties_to_even = one + half_ulp == 1.0f && one + 1.5f * half_ulp > 1.0f && -one - half_ulp == -1.0f;
  return keeps_results && keeps_operands && ties_to_even;
}

}  // namespace sanderling
