#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include "calibrate.h"
#include "frames.h"
#include "model.h"

namespace sanderling {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

// From the model's squashed units to the recording's: the inverse of y = x / (1 + |x| / 8), then of the scaling.
float unsquash(float y, float spread, float location) {
  const float bounded = std::min(std::max(y, -5.7142858f), 5.7142858f);
  const float x = bounded / (1.0f - std::fabs(bounded) / 8.0f);
  return x * spread + location;
}

}  // namespace

class Stream {
 public:
  const Model* model;
  Calibration* calibration;  // the model's, or own
  Calibration own;
  Calibrator calibrator;
  Forward forward;
  CalibrateOptions options;
  float* staged;             // [8 max_tokens][C], samples of patches not yet complete
  float* cold;               // [cold_samples][C], a cold stream only
  float* across;             // [C]
  std::uint64_t samples;     // taken so far by the machine: the recording's, or frames
  bool warm, ended;
  void* block;

  // A stream with frames: the same machine behind the framer.
  FrameConfig frame;
  Framer framer;
  float *frame_score, *frame_rows, *frame_hats, *frame_components;  // results of a patch of frames
  std::uint8_t* frame_skipped;
  std::uint64_t raw_samples, raw_written;

  // C: the machine's channels.
  void place(Arena& arena, const Model& m, std::size_t C) {
    if (frame.on()) {
      framer.place(arena, *m.weights->kernels, frame.raw_channels(C), frame);
      frame_score = arena.take<float>(patch_samples);
      frame_rows = arena.take<float>(patch_samples * C);
      frame_hats = arena.take<float>(patch_samples * C);
      frame_components = arena.take<float>(C * n_components);
      frame_skipped = arena.take<std::uint8_t>(C);
    }
    const Weights& weights = *m.weights;
    const std::size_t cold_samples = weights.config.cold_samples, tokens = cold_samples / patch_samples;
    const MemoryShape shape = m.calibration != nullptr ? m.calibration->memory() : weights.config.memory_shape(tokens, C);
    forward.place(arena, weights, C, shape);
    staged = arena.take<float>(patch_samples * forward.max_tokens * C);
    across = arena.take<float>(C);
    if (m.calibration != nullptr) return;
    cold = arena.take<float>(cold_samples * C);
    own.place(arena, *weights.kernels, C, shape);
    calibrator.place(arena, C, cold_samples);
  }

  // The recording's: samples taken, channels, samples a patch.
  std::uint64_t taken() const { return frame.on() ? raw_samples : samples; }
  std::size_t raw_channels() const { return frame.raw_channels(forward.channels); }
  std::size_t patch() const { return frame.raw_samples(patch_samples); }

  // Samples of the patches of `patch` that complete between two counts.
  static std::size_t complete(std::uint64_t from, std::uint64_t upto, std::size_t patch = patch_samples) {
    return static_cast<std::size_t>(upto / patch * patch - from / patch * patch);
  }

  void take(const float* x, std::size_t n, Scores* out) {
    if (!warm) {
      const std::size_t first = static_cast<std::size_t>(std::min<std::uint64_t>(n, model->weights->config.cold_samples - samples));
      take_cold(x, first, out);
      x += first * forward.channels;
      n -= first;
    }
    if (warm) take_warm(x, n, out);
  }

  void take_raw(const float* x, std::size_t n, Scores* out) {
    while (n > 0) {
      const std::size_t used = framer.take(x, n);
      x += used * framer.channels;
      n -= used;
      raw_samples += used;
      if (framer.complete()) take_frame(out);
    }
  }

  void take_frame(Scores* out) {
    Scores results = of_frames(*out);
    take(framer.features(), 1, &results);
    spread_frames(results, out);
  }

  // Room for a patch of frames; only what `out` asks for.
  Scores of_frames(const Scores& out) const {
    Scores results;
    results.score = out.score == nullptr ? nullptr : frame_score;
    results.channel_score = out.channel_score == nullptr ? nullptr : frame_rows;
    results.reconstruction = out.reconstruction == nullptr ? nullptr : frame_hats;
    results.components = out.components == nullptr ? nullptr : frame_components;
    results.skipped = out.skipped == nullptr ? nullptr : frame_skipped;
    results.capacity = patch_samples;
    return results;
  }

  // Every sample of a frame gets the frame's results.
  void spread_frames(const Scores& results, Scores* out) {
    const std::size_t C = forward.channels;
    for (std::size_t i = 0; i < results.written; ++i) {
      const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(frame.samples, raw_samples - raw_written)), at = out->written;
      if (out->score != nullptr) std::fill_n(out->score + at, n, frame_score[i]);
      for (std::size_t k = at; k < at + n; ++k) {
        if (out->channel_score != nullptr) std::copy_n(frame_rows + i * C, C, out->channel_score + k * C);
        if (out->reconstruction != nullptr) std::copy_n(frame_hats + i * C, C, out->reconstruction + k * C);
      }
      if (out->components != nullptr && i == 0)
        std::copy_n(frame_components, C * n_components, out->components + at / patch() * C * n_components);
      if (out->skipped != nullptr && i == 0) std::copy_n(frame_skipped, C, out->skipped + at / patch() * C);
      out->written += n;
      raw_written += n;
    }
  }

  // A part of a frame counts as a frame whose other samples are missing.
  void take_raw_tail(Scores* out) {
    if (framer.pending() > 0) {
      framer.pad();
      take_frame(out);
    }
    Scores results = of_frames(*out);
    take_tail(&results);
    spread_frames(results, out);
  }

  void take_cold(const float* x, std::size_t n, Scores* out) {
    const std::size_t C = forward.channels;
    if (n > 0) std::memcpy(cold + samples * C, x, n * C * sizeof *x);
    emit_cold(complete(samples, samples + n), out);
    samples += n;
    if (samples == model->weights->config.cold_samples) warm_up();
  }

  // Calibrates on the cold samples and replays them, so that the stream goes on warm.
  void warm_up() {
    const std::size_t n = model->weights->config.cold_samples;
    calibrator.run(&forward, &own, cold, n, options.standard_scaling, options.false_alarms, options.period_s);
    forward.reset();
    for (std::size_t t = 0; t < n / patch_samples; t += forward.T)
      forward.run(cold + t * patch_samples * forward.channels, std::min(forward.max_tokens, n / patch_samples - t), own, Until::scores, false);
    warm = true;
  }

  void take_warm(const float* x, std::size_t n, Scores* out) {
    const std::size_t C = forward.channels;
    while (n > 0) {
      const std::size_t pending = samples % patch_samples;
      const std::size_t take = std::min(n, patch_samples * forward.max_tokens - pending);
      std::memcpy(staged + pending * C, x, take * C * sizeof *x);
      x += take * C;
      n -= take;
      samples += take;
      const std::size_t done = (pending + take) / patch_samples * patch_samples;
      if (done == 0) continue;
      forward.run(staged, done / patch_samples, *calibration, Until::scores, false);
      emit(done, out);
      std::memmove(staged, staged + done * C, (pending + take - done) * C * sizeof *staged);
    }
  }

  // The last patch, padded by each channel's last raw value.
  void take_tail(Scores* out) {
    const std::size_t C = forward.channels, pending = samples % patch_samples;
    if (pending == 0) return;
    if (!warm) return emit_cold(pending, out);
    for (std::size_t i = pending; i < patch_samples; ++i) std::memcpy(staged + i * C, staged + (pending - 1) * C, C * sizeof *staged);
    forward.run(staged, 1, *calibration, Until::scores, false);
    emit(pending, out);
  }

  void emit_cold(std::size_t n, Scores* out) const {
    const std::size_t C = forward.channels, at = out->written, patches = (n + patch_samples - 1) / patch_samples;
    if (out->score != nullptr) std::fill_n(out->score + at, n, 0.0f);
    if (out->channel_score != nullptr) std::fill_n(out->channel_score + at * C, n * C, 0.0f);
    if (out->reconstruction != nullptr) std::fill_n(out->reconstruction + at * C, n * C, nan);
    if (out->components != nullptr) std::fill_n(out->components + at / patch_samples * C * n_components, patches * C * n_components, 0.0f);
    if (out->skipped != nullptr) std::memset(out->skipped + at / patch_samples * C, 0, patches * C);
    out->written += n;
  }

  // The first n samples of the block that `forward` has just run.
  void emit(std::size_t n, Scores* out) const {
    const std::size_t C = forward.channels, T = forward.T, at = out->written;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t t = i / patch_samples, k = i % patch_samples;
      std::size_t audible = 0;
      for (std::size_t c = 0; c < C; ++c) {
        const std::size_t row = c * T + t, to = (at + i) * C + c;
        const bool silent = forward.silent[row * patch_samples + k] != 0;
        const float score = forward.token_score[row];
        if (!silent) across[audible++] = score;
        if (out->channel_score != nullptr) out->channel_score[to] = silent ? nan : score;
        if (out->reconstruction != nullptr)
          out->reconstruction[to] = forward.skipped[row] ? nan
                                                         : unsquash(forward.p[forward.slot[row] * head_width + k], calibration->spread[c],
                                                                    calibration->location[c]);
        if (out->skipped != nullptr && k == 0) out->skipped[(at + i) / patch_samples * C + c] = forward.skipped[row];
        if (out->components != nullptr && k == 0)
          std::memcpy(out->components + ((at + i) / patch_samples * C + c) * n_components, forward.level + row * n_components,
                      n_components * sizeof *out->components);
      }
      if (out->score != nullptr)
        out->score[at + i] = audible == 0 ? nan : aggregate(across, audible, model->weights->config.top_k);
    }
    out->written += n;
  }

  bool ready(const Scores* out, std::size_t room, const char* call, Error* error) const {
    if (out == nullptr) return fail(error, Status::argument, "expected a place for the scores, found a null pointer; pass one to %s", call);
    if (ended) return fail(error, Status::argument, "expected an open stream, found one that was flushed; open a new stream");
    if (out->capacity < room)
      return fail(error, Status::argument, "expected room for %zu samples in the scores, found %zu; give pending + new samples to %s", room,
                  out->capacity, call);
    return float_environment_ok() || fail(error, Status::environment, "%s", float_environment_message);
  }
};

Stream* stream_open(const Model* model, std::size_t channels, const CalibrateOptions& options, Error* error) {
  if (model == nullptr) return fail(error, Status::argument, "expected a model, found a null pointer; open one first"), nullptr;
  if (channels < 1 || channels > max_channels)
    return fail(error, Status::argument, "expected 1 to %u channels, found %zu; select channels", max_channels, channels), nullptr;
  const Calibration* calibration = model->calibration;
  if (calibration != nullptr && channels != model->frame.raw_channels(calibration->channels))
    return fail(error, Status::argument, "expected %zu channels (the model's calibration), found %zu; give those channels or calibrate again",
                model->frame.raw_channels(calibration->channels), channels),
           nullptr;
  FrameConfig frame = model->frame;
  if (calibration != nullptr && frame.on() && !same_period(frame, options.period_s))
    return fail(error, Status::argument, "expected %g s a sample (the rate of the model's frames), found %g; resample or calibrate again",
                static_cast<double>(frame.period_s), static_cast<double>(options.period_s)),
           nullptr;
  if (calibration == nullptr && !valid_request(options.false_alarms, options.period_s))
    return fail(error, Status::argument, "%s", request_message), nullptr;
  if (calibration == nullptr && (!choose_frame(model->frame, options.frame_ms, options.period_s, 0, &frame, error) ||
                                 !channels_fit(frame, channels, error)))
    return nullptr;
  if (!float_environment_ok()) return fail(error, Status::environment, "%s", float_environment_message), nullptr;
  auto* stream = new (std::nothrow) Stream();
  if (stream != nullptr) {
    stream->frame = frame;
    stream->block = place_block([&](Arena& arena) { stream->place(arena, *model, frame.model_channels(channels)); });
  }
  if (stream == nullptr || stream->block == nullptr) {
    delete stream;
    return fail(error, Status::memory, "expected memory for a stream of %zu channels, found less; open fewer channels", channels), nullptr;
  }
  stream->model = model;
  stream->options = options;
  if (frame.on()) stream->options.period_s = frame.model_period();
  stream->calibration = calibration != nullptr ? model->calibration : &stream->own;
  stream->warm = calibration != nullptr;
  stream->forward.dynamic = options.dynamic;
  stream->forward.reset();
  if (frame.on()) stream->framer.reset();
  return stream;
}

bool stream_update(Stream* stream, const float* x, std::size_t samples, Scores* out, Error* error) {
  if (stream == nullptr || (x == nullptr && samples > 0))
    return fail(error, Status::argument, "expected a stream and samples, found a null pointer; open a stream first");
  const std::uint64_t taken = stream->taken(), limit = std::numeric_limits<std::uint64_t>::max() - taken;
  std::uint64_t bytes = 0;
  if (samples > limit || !checked_mul(samples, stream->raw_channels() * sizeof(float), &bytes))
    return fail(error, Status::argument, "expected fewer samples, found %zu; give smaller chunks", samples);
  if (!stream->ready(out, Stream::complete(taken, taken + samples, stream->patch()), "stream_update", error)) return false;
  out->written = 0;
  if (stream->frame.on()) {
    stream->take_raw(x, samples, out);
  } else {
    stream->take(x, samples, out);
  }
  return true;
}

bool stream_flush(Stream* stream, Scores* out, Error* error) {
  if (stream == nullptr) return fail(error, Status::argument, "expected a stream, found a null pointer; open a stream first");
  if (!stream->ready(out, static_cast<std::size_t>(stream->taken() % stream->patch()), "stream_flush", error)) return false;
  out->written = 0;
  if (stream->frame.on()) {
    stream->take_raw_tail(out);
  } else {
    stream->take_tail(out);
  }
  stream->ended = true;
  return true;
}

float stream_threshold(const Stream* stream) { return stream->warm ? stream->calibration->keys.threshold : nan; }

std::uint64_t stream_samples(const Stream* stream) { return stream->taken(); }

std::uint64_t stream_tokens(const Stream* stream) {
  return stream->warm ? static_cast<std::uint64_t>(stream->forward.tokens_done) * stream->forward.channels : 0;
}

std::uint64_t stream_skipped(const Stream* stream) { return stream->warm ? stream->forward.tokens_skipped : 0; }

std::size_t stream_patch(const Stream* stream) { return stream->patch(); }

std::size_t stream_outputs(const Stream* stream) { return stream->forward.channels; }

std::uint64_t stream_cold_samples(const Stream* stream) {
  return stream->model->calibration != nullptr ? 0 : stream->frame.raw_samples(stream->model->weights->config.cold_samples);
}

std::size_t stream_frame_samples(const Stream* stream) { return stream->frame.samples; }

void stream_close(Stream* stream) {
  if (stream != nullptr) block_free(stream->block);
  delete stream;
}

}  // namespace sanderling
