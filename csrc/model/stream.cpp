#include "stream.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

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

MemoryShape Stream::memory_of(const Model& m, std::size_t C) {
  const Config& config = m.weights->config;
  return m.calibration != nullptr ? m.calibration->memory() : config.memory_shape(config.cold_samples / patch_samples, C);
}

void Stream::place(Arena& arena, const Model& m, std::size_t C) {
  if (frame.on()) {
    framer.place(arena, *m.weights->kernels, frame.raw_channels(C), frame);
    frame_score = arena.take<float>(patch_samples);
    frame_rows = arena.take<float>(patch_samples * C);
    frame_hats = arena.take<float>(patch_samples * C);
    frame_components = arena.take<float>(C * n_components);
    frame_skipped = arena.take<std::uint8_t>(C);
  }
  const Weights& weights = *m.weights;
  state.place(arena, weights, C);
  staged = arena.take<float>(patch_samples * state.max_tokens * C);
  across = arena.take<float>(C);
  voices = arena.take<float>(C);
  if (m.calibration != nullptr) return;
  cold = arena.take<float>(weights.config.cold_samples * C);
  own.place(arena, *weights.kernels, C, memory_of(m, C));
  calibrator.place(arena, C, weights.config.cold_samples);
}

void Stream::begin(const Model& m, const CalibrateOptions& wanted, const FrameConfig& frames, Forward* pass, StreamGroup* of) {
  model = &m;
  forward = pass;
  group = of;
  options = wanted;
  frame = frames;
  if (frame.on()) options.period_s = frame.model_period();
  calibration = m.calibration != nullptr ? m.calibration : &own;
  state.dynamic = options.dynamic;
  restart();
}

void Stream::restart() {
  samples = raw_samples = raw_written = 0;
  ended = false;
  warm = model->calibration != nullptr;
  state.reset();
  if (frame.on()) framer.reset();
}

void Stream::take(const float* x, std::size_t n, Scores* out) {
  if (!warm) {
    const std::size_t first = static_cast<std::size_t>(std::min<std::uint64_t>(n, model->weights->config.cold_samples - samples));
    take_cold(x, first, out);
    x += first * state.channels;
    n -= first;
  }
  while (warm && n > 0)
    if (const std::size_t tokens = stage(&x, &n, state.max_tokens); tokens > 0) {
      Part part = {&state, calibration, staged, tokens, 0};
      forward->run(&part, 1, Until::scores, false);
      finish(part, out);
    }
}

void Stream::take_raw(const float* x, std::size_t n, Scores* out) {
  while (n > 0) {
    const std::size_t used = framer.take(x, n);
    x += used * framer.channels;
    n -= used;
    raw_samples += used;
    if (framer.complete()) take_frame(out);
  }
}

void Stream::take_frame(Scores* out) {
  Scores results = of_frames(*out);
  take(framer.features(), 1, &results);
  spread_frames(results, out);
}

// Room for a patch of frames; only what `out` asks for.
Scores Stream::of_frames(const Scores& out) const {
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
void Stream::spread_frames(const Scores& results, Scores* out) {
  const std::size_t C = state.channels;
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
void Stream::take_raw_tail(Scores* out) {
  if (framer.pending() > 0) {
    framer.pad();
    take_frame(out);
  }
  Scores results = of_frames(*out);
  take_tail(&results);
  spread_frames(results, out);
}

void Stream::take_cold(const float* x, std::size_t n, Scores* out) {
  const std::size_t C = state.channels;
  if (n > 0) std::memcpy(cold + samples * C, x, n * C * sizeof *x);
  emit_cold(complete(samples, samples + n), out);
  samples += n;
  if (samples == model->weights->config.cold_samples) warm_up();
}

// Calibrates on the cold samples and replays them, so that the stream goes on warm.
void Stream::warm_up() {
  const std::size_t n = model->weights->config.cold_samples, tokens = n / patch_samples;
  calibrator.run(forward, &state, &own, cold, n, options.standard_scaling, options.false_alarms, options.period_s);
  state.reset();
  for (std::size_t t = 0; t < tokens; t += state.max_tokens) {
    Part part = {&state, &own, cold + t * patch_samples * state.channels, std::min(state.max_tokens, tokens - t), 0};
    forward->run(&part, 1, Until::scores, false);
  }
  warm = true;
}

void Stream::take_alone(const float** x, std::size_t* n, Scores* out) {
  if (frame.on()) {
    take_raw(*x, *n, out);
    *n = 0;
  } else if (!warm) {
    const std::size_t first = static_cast<std::size_t>(std::min<std::uint64_t>(*n, model->weights->config.cold_samples - samples));
    take_cold(*x, first, out);
    *x += first * state.channels;
    *n -= first;
  }
}

std::size_t Stream::stage(const float** x, std::size_t* n, std::size_t tokens) {
  const std::size_t C = state.channels, pending = samples % patch_samples;
  const std::size_t take = std::min(*n, patch_samples * tokens - pending);
  std::memcpy(staged + pending * C, *x, take * C * sizeof **x);
  *x += take * C;
  *n -= take;
  samples += take;
  return (pending + take) / patch_samples;
}

// The part's scores go out, and what is left of the staged samples moves to the front.
void Stream::finish(const Part& part, Scores* out) {
  const std::size_t C = state.channels, done = part.T * patch_samples, left = samples % patch_samples;
  emit(part, done, out);
  std::memmove(staged, staged + done * C, left * C * sizeof *staged);
}

// The last patch, padded by each channel's last raw value.
void Stream::take_tail(Scores* out) {
  const std::size_t C = state.channels, pending = samples % patch_samples;
  if (pending == 0) return;
  if (!warm) return emit_cold(pending, out);
  for (std::size_t i = pending; i < patch_samples; ++i) std::memcpy(staged + i * C, staged + (pending - 1) * C, C * sizeof *staged);
  Part part = {&state, calibration, staged, 1, 0};
  forward->run(&part, 1, Until::scores, false);
  emit(part, pending, out);
}

void Stream::emit_cold(std::size_t n, Scores* out) const {
  const std::size_t C = state.channels, at = out->written, patches = (n + patch_samples - 1) / patch_samples;
  if (out->score != nullptr) std::fill_n(out->score + at, n, 0.0f);
  if (out->channel_score != nullptr) std::fill_n(out->channel_score + at * C, n * C, 0.0f);
  if (out->reconstruction != nullptr) std::fill_n(out->reconstruction + at * C, n * C, nan);
  if (out->components != nullptr) std::fill_n(out->components + at / patch_samples * C * n_components, patches * C * n_components, 0.0f);
  if (out->skipped != nullptr) std::memset(out->skipped + at / patch_samples * C, 0, patches * C);
  out->written += n;
}

// The first n samples of the block that `forward` has just run.
void Stream::emit(const Part& part, std::size_t n, Scores* out) const {
  const std::size_t C = state.channels, T = part.T, at = out->written;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t t = i / patch_samples, k = i % patch_samples;
    std::size_t audible = 0;
    for (std::size_t c = 0; c < C; ++c) {
      const std::size_t row = part.row + c * T + t, to = (at + i) * C + c;
      const bool silent = forward->silent[row * patch_samples + k] != 0;
      const float score = forward->token_score[row];
      if (!silent) {
        across[audible] = score;
        voices[audible++] = calibration->voice[c];
      }
      if (out->channel_score != nullptr) out->channel_score[to] = silent ? nan : score;
      if (out->reconstruction != nullptr)
        out->reconstruction[to] = forward->skipped[row] ? nan
                                                       : unsquash(forward->p[forward->slot[row] * head_width + k], calibration->spread[c],
                                                                  calibration->location[c]);
      if (out->skipped != nullptr && k == 0) out->skipped[(at + i) / patch_samples * C + c] = forward->skipped[row];
      if (out->components != nullptr && k == 0)
        std::memcpy(out->components + ((at + i) / patch_samples * C + c) * n_components, forward->level + row * n_components,
                    n_components * sizeof *out->components);
    }
    if (out->score != nullptr)
      out->score[at + i] = audible == 0 ? nan : aggregate(across, voices, audible, model->weights->config.top_k);
  }
  out->written += n;
}

bool Stream::ready(const Scores* out, std::size_t room, const char* call, Error* error) const {
  if (out == nullptr) return fail(error, Status::argument, "expected a place for the scores, found a null pointer; pass one to %s", call);
  if (ended) return fail(error, Status::argument, "expected an open stream, found one that was flushed; open a new stream");
  if (out->capacity < room)
    return fail(error, Status::argument, "expected room for %zu samples in the scores, found %zu; give pending + new samples to %s", room,
                out->capacity, call);
  return float_environment_ok() || fail(error, Status::environment, "%s", float_environment_message);
}

bool Stream::accepts(const float* x, std::size_t n, const Scores* out, const char* call, Error* error) const {
  if (x == nullptr && n > 0)
    return fail(error, Status::argument, "expected a stream and samples, found a null pointer; open a stream first");
  const std::uint64_t limit = std::numeric_limits<std::uint64_t>::max() - taken();
  std::uint64_t bytes = 0;
  if (n > limit || !checked_mul(n, raw_channels() * sizeof(float), &bytes))
    return fail(error, Status::argument, "expected fewer samples, found %zu; give smaller chunks", n);
  return ready(out, complete(taken(), taken() + n, patch()), call, error);
}

bool Stream::may_flush(const Scores* out, Error* error) const {
  return ready(out, static_cast<std::size_t>(taken() % patch()), "stream_flush", error);
}

void Stream::update(const float* x, std::size_t n, Scores* out) {
  out->written = 0;
  if (frame.on()) {
    take_raw(x, n, out);
  } else {
    take(x, n, out);
  }
}

void Stream::flush(Scores* out) {
  out->written = 0;
  if (frame.on()) {
    take_raw_tail(out);
  } else {
    take_tail(out);
  }
  ended = true;
}

}  // namespace sanderling
