// The streams of engine.h: one by itself is a group of one; the patches of a group go through the forward pass together.
#include <algorithm>
#include <limits>
#include <new>

#include "stream.h"

namespace sanderling {

class StreamGroup {
 public:
  // What an update has not taken yet of a stream's samples.
  struct Rest {
    const float* x;
    std::size_t n;
  };

  std::size_t n;
  Stream* streams;   // [n]
  Forward forward;
  Pool* pool;        // nullptr unless threads were asked for
  Part* parts;       // [n], of a round
  Stream** owner;    // [n], of each part
  Scores** target;   // [n]
  Rest* rest;        // [n]
  void* block;

  void place(Arena& arena, const Model& model, std::size_t channels) {
    for (std::size_t i = 0; i < n; ++i) streams[i].place(arena, model, channels);
    forward.place(arena, *model.weights, channels, Stream::memory_of(model, channels), pool == nullptr ? 1 : pool->size());
    forward.pool = pool;
    parts = arena.take<Part>(n);
    owner = arena.take<Stream*>(n);
    target = arena.take<Scores*>(n);
    rest = arena.take<Rest>(n);
  }

  // The patches of all streams that have some, as many at a time as a block holds.
  void run_rounds(Scores* out) {
    const std::size_t C = streams[0].state.channels;
    for (;;) {
      const auto active = static_cast<std::size_t>(std::count_if(rest, rest + n, [](const Rest& r) { return r.n > 0; }));
      if (active == 0) return;
      const std::size_t tokens = std::clamp<std::size_t>(forward.max_rows / (C * active), 1, streams[0].state.max_tokens);
      std::size_t n_parts = 0;
      for (std::size_t i = 0; i < n; ++i) {
        Stream& stream = streams[i];
        if (rest[i].n == 0) continue;
        const std::size_t ready = stream.stage(&rest[i].x, &rest[i].n, tokens);
        if (ready == 0) continue;
        owner[n_parts] = &stream;
        target[n_parts] = out + i;
        parts[n_parts++] = {&stream.state, stream.calibration, stream.staged, ready, 0};
        if ((n_parts + 1) * tokens * C > forward.max_rows) finish(&n_parts);
      }
      finish(&n_parts);
    }
  }

 private:
  void finish(std::size_t* n_parts) {
    if (*n_parts > 0) forward.run(parts, *n_parts, Until::scores, false);
    for (std::size_t i = 0; i < *n_parts; ++i) owner[i]->finish(parts[i], target[i]);
    *n_parts = 0;
  }
};

StreamGroup* group_open(const Model* model, std::size_t n, std::size_t channels, const CalibrateOptions& options, Error* error) {
  if (model == nullptr) return fail(error, Status::argument, "expected a model, found a null pointer; open one first"), nullptr;
  if (n < 1 || n > max_streams)
    return fail(error, Status::argument, "expected 1 to %zu streams, found %zu; open several groups", max_streams, n), nullptr;
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
  auto* group = new (std::nothrow) StreamGroup();
  if (group != nullptr) {
    group->n = n;
    group->streams = new (std::nothrow) Stream[n]();
    // Without the memory for a pool the caller's thread does the work.
    if (Pool::usable(options.threads) > 1) group->pool = new (std::nothrow) Pool(options.threads);
  }
  if (group != nullptr && group->streams != nullptr) {
    for (std::size_t i = 0; i < n; ++i) group->streams[i].frame = frame;
    group->block = place_block([&](Arena& arena) { group->place(arena, *model, frame.model_channels(channels)); });
  }
  if (group == nullptr || group->block == nullptr) {
    group_close(group);
    return fail(error, Status::memory, "expected memory for %zu stream(s) of %zu channels, found less; open fewer", n, channels), nullptr;
  }
  for (std::size_t i = 0; i < n; ++i) group->streams[i].begin(*model, options, frame, &group->forward, group);
  return group;
}

std::size_t group_size(const StreamGroup* group) { return group->n; }

Stream* group_stream(StreamGroup* group, std::size_t i) { return i < group->n ? group->streams + i : nullptr; }

bool group_update(StreamGroup* group, const float* const* x, const std::size_t* samples, Scores* out, Error* error) {
  if (group == nullptr || x == nullptr || samples == nullptr || out == nullptr)
    return fail(error, Status::argument, "expected a group, its samples and places for the scores, found a null pointer; pass them all");
  for (std::size_t i = 0; i < group->n; ++i)
    if (!group->streams[i].accepts(x[i], samples[i], out + i, "group_update", error)) return false;
  for (std::size_t i = 0; i < group->n; ++i) {
    out[i].written = 0;
    group->rest[i] = {x[i], samples[i]};
    group->streams[i].take_alone(&group->rest[i].x, &group->rest[i].n, out + i);
  }
  group->run_rounds(out);
  return true;
}

void group_close(StreamGroup* group) {
  if (group == nullptr) return;
  block_free(group->block);
  delete[] group->streams;
  delete group->pool;
  delete group;
}

Stream* stream_open(const Model* model, std::size_t channels, const CalibrateOptions& options, Error* error) {
  StreamGroup* group = group_open(model, 1, channels, options, error);
  return group == nullptr ? nullptr : group->streams;
}

void stream_close(Stream* stream) {
  if (stream != nullptr) group_close(stream->group);
}

bool stream_update(Stream* stream, const float* x, std::size_t samples, Scores* out, Error* error) {
  if (stream == nullptr) return fail(error, Status::argument, "expected a stream and samples, found a null pointer; open a stream first");
  if (!stream->accepts(x, samples, out, "stream_update", error)) return false;
  stream->update(x, samples, out);
  return true;
}

bool stream_flush(Stream* stream, Scores* out, Error* error) {
  if (stream == nullptr) return fail(error, Status::argument, "expected a stream, found a null pointer; open a stream first");
  if (!stream->may_flush(out, error)) return false;
  stream->flush(out);
  return true;
}

float stream_threshold(const Stream* stream) { return stream->warm ? stream->calibration->keys.threshold : std::numeric_limits<float>::quiet_NaN(); }

std::uint64_t stream_samples(const Stream* stream) { return stream->taken(); }

std::uint64_t stream_tokens(const Stream* stream) {
  return stream->warm ? static_cast<std::uint64_t>(stream->state.tokens_done) * stream->state.channels : 0;
}

std::uint64_t stream_skipped(const Stream* stream) { return stream->warm ? stream->state.tokens_skipped : 0; }

std::size_t stream_patch(const Stream* stream) { return stream->patch(); }

std::size_t stream_outputs(const Stream* stream) { return stream->state.channels; }

std::uint64_t stream_cold_samples(const Stream* stream) {
  return stream->model->calibration != nullptr ? 0 : stream->frame.raw_samples(stream->model->weights->config.cold_samples);
}

std::size_t stream_frame_samples(const Stream* stream) { return stream->frame.samples; }

}  // namespace sanderling
