// The model loader on any bytes; what it accepts is streamed, and calibrated where the model is small, because a model that
// loads must also run.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "model/engine.h"

namespace {

using namespace sanderling;

std::vector<float> samples_for(std::size_t samples, std::size_t channels) {
  std::vector<float> x(samples * channels);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 2654435761u % 997) / 50.0f;
  for (std::size_t i = 37; i < x.size(); i += 101) x[i] = std::nanf("");
  if (x.size() > 20) x[20] = 1e30f;
  return x;
}

void run(const Model* model, std::size_t samples) {
  ModelInfo info;
  model_info(model, &info);
  const std::size_t channels = info.calibrated ? info.channels : 2;
  Error error;
  Stream* const stream = stream_open(model, channels, CalibrateOptions{}, &error);
  if (!stream) {
    if (error.status == Status::memory) return;
    std::abort();
  }
  const std::vector<float> x = samples_for(samples, channels);
  const std::size_t outputs = stream_outputs(stream);
  std::vector<float> score(samples + 2 * info.patch), channel_score(score.size() * outputs);
  Scores out;
  out.score = score.data();
  out.channel_score = channel_score.data();
  out.capacity = score.size();
  if (!stream_update(stream, x.data(), samples, &out, &error)) std::abort();
  const std::size_t head = out.written;
  Scores tail = out;
  tail.score += head;
  tail.channel_score += head * outputs;
  tail.capacity -= head;
  if (!stream_flush(stream, &tail, &error)) std::abort();
  const std::size_t written = head + tail.written;
  if (written != samples || stream_samples(stream) != samples) std::abort();
  // One channel alone may lack a score in its gap; no more than one is in a gap at a time.
  for (std::size_t i = 0; i < written; ++i)
    if (std::isinf(score[i]) || (outputs > 1 && info.frame_samples == 0 && std::isnan(score[i]))) std::abort();
  stream_close(stream);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Error error;
  Model* const model = model_parse(data, size, nullptr, &error);
  if (!model) {
    if (error.status == Status::ok || !error.message[0]) std::abort();
    return 0;
  }
  ModelInfo info;
  model_info(model, &info);
  const bool small = info.d_model <= 32 && info.n_layers <= 2;
  run(model, small && !info.calibrated ? info.cold_samples + 13 : 13);
  if (small && !info.calibrated) {
    const std::size_t samples = info.min_reference + 3;
    const std::vector<float> x = samples_for(samples, 1);
    Model* const calibrated = model_calibrate(model, x.data(), samples, 1, CalibrateOptions{}, &error);
    if (!calibrated && error.status != Status::memory) std::abort();
    if (calibrated) run(calibrated, 13);
    model_close(calibrated);
  }
  model_close(model);
  return 0;
}
