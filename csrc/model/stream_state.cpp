// A stream's memory as bytes and back (engine.h). Counters follow from the number of samples; what follows is the past that the forward
// pass reads, and of a cold stream its samples or the calibration that they became.
#include <algorithm>

#include "state_io.h"
#include "stream.h"

namespace sanderling {
namespace {

// Far beyond what a signal leaves, far below what overflows.
constexpr float signal_limit = 1e6f, statistic_limit = 1e30f, raw_limit = 3.4028235e38f;

struct Header {
  char magic[8];
  std::uint64_t model, samples, skipped;  // samples: the recording's
  std::uint32_t channels, frame_samples, threads;
  float false_alarms, period_s, frame_ms, frame_period_s;
  std::uint8_t dynamic, standard, calibrated, spare;
};
static_assert(sizeof(Header) == 64, "no padding: every byte of a state is written");

constexpr char magic[8] = {'S', 'N', 'D', 'L', 'S', 'T', '0', '1'};

Header header_of(const Stream& s, std::uint64_t model) {
  Header h = {};
  std::memcpy(h.magic, magic, sizeof magic);
  h.model = model;
  h.samples = s.taken();
  h.skipped = s.state.tokens_skipped;
  h.channels = static_cast<std::uint32_t>(s.raw_channels());
  h.frame_samples = s.frame.samples;
  h.threads = static_cast<std::uint32_t>(std::min<std::size_t>(s.options.threads, 0xffffffffu));
  h.false_alarms = s.options.false_alarms;
  h.period_s = s.frame.on() ? s.frame.period_s : s.options.period_s;
  h.frame_ms = s.options.frame_ms;
  h.frame_period_s = s.frame.period_s;
  h.dynamic = s.options.dynamic;
  h.standard = s.options.standard_scaling;
  h.calibrated = s.model->calibration != nullptr;
  return h;
}

// The last tokens' keys or values of a channel, wherever they lie among [kv_capacity].
template <typename Move>
void recent(const State& s, std::size_t item, Move move) {
  const std::size_t keep = std::min<std::size_t>(s.kv_tokens, s.weights->config.window - 1);
  for (std::size_t c = 0; c < s.channels; ++c) move((c * s.kv_capacity + s.kv_tokens - keep) * item, keep * item);
}

void transfer_state(StateIo& io, State& s) {
  const Config& config = s.weights->config;
  const std::size_t C = s.channels;
  for (std::size_t c = 0; c < C; ++c) {
    io.floats(&s.cell[c].last, 1, -raw_limit, raw_limit);
    io.counts(&s.cell[c].missing, 1);
    io.flag(&s.cell[c].seen);
  }
  if (s.tokens_done == 0) return;  // the rest is written by the first block
  for (std::size_t l = 0; l < config.levels; ++l)
    for (std::size_t c = 0; c < C; ++c) io.floats(s.signal(l, c) - s.history[l], s.history[l], -signal_limit, signal_limit);
  for (std::size_t i = 0; i < config.n_layers; ++i) {
    const std::size_t H = s.weights->layers[i].heads;
    for (std::int8_t* rows : {s.keys[i], s.values[i]})
      recent(s, H * head_dim, [&](std::size_t at, std::size_t n) { io.integers(rows + at, n); });
    for (float* scales : {s.key_scale[i], s.value_scale[i]})
      recent(s, H, [&](std::size_t at, std::size_t n) { io.floats(scales + at, n, 0.0f, signal_limit); });
  }
  io.floats(s.last_score, C, 0.0f, statistic_limit);
  for (std::size_t c = 0; c < C; ++c) io.floats(s.logits + c * max_smooth, s.n_logits, -statistic_limit, statistic_limit);
  if (s.dynamic) {
    io.floats(s.residual, config.n_layers * C * config.d_model, -signal_limit, signal_limit);
    io.counts(s.run_length, C);
    io.floats(s.held, C, -statistic_limit, statistic_limit);
  }
  for (std::size_t c = 0; c < C; ++c) {
    bool gap = s.gap_before[c] != 0;
    io.flag(&gap);
    s.gap_before[c] = gap ? 1 : 0;
    if (gap) continue;  // a skipped token predicts nothing
    io.floats(s.predicted + c * patch_samples, patch_samples, -signal_limit, signal_limit);
    io.floats(s.log_b + c, 1, -statistic_limit, statistic_limit);
  }
}

// The counters of a stream that has taken `taken` samples of its recording.
void set_counters(Stream& s, std::uint64_t taken, std::uint64_t skipped) {
  const Config& config = s.model->weights->config;
  s.samples = s.frame.on() ? taken / s.frame.samples : taken;
  if (s.frame.on()) {
    s.raw_samples = taken;
    s.raw_written = taken / s.patch() * s.patch();
  }
  s.warm = s.model->calibration != nullptr || s.samples >= config.cold_samples;
  if (!s.warm) return;
  State& state = s.state;
  state.tokens_done = static_cast<std::size_t>(s.samples / patch_samples);
  state.tokens_skipped = skipped;
  state.kv_tokens = std::min<std::size_t>(state.tokens_done, config.window - 1);
  state.n_logits = std::min<std::size_t>(state.tokens_done, config.smooth);
}

// All but the header; of a cold stream's calibration only its own bytes' place is given, at *calibration.
void transfer(StateIo& io, Stream& s, std::size_t* calibration) {
  const std::size_t C = s.state.channels;
  if (s.frame.on()) s.framer.transfer(io, static_cast<std::size_t>(s.raw_samples % s.frame.samples));
  if (!s.warm) return io.samples(s.cold, static_cast<std::size_t>(s.samples) * C);
  io.samples(s.staged, static_cast<std::size_t>(s.samples % patch_samples) * C);
  transfer_state(io, s.state);
  if (s.model->calibration == nullptr) io.floats(&s.own.keys.threshold, 1, -statistic_limit, statistic_limit);
  *calibration = io.used();
}

bool owns_calibration(const Stream& s) { return s.warm && s.model->calibration == nullptr; }

}  // namespace

void stream_restart(Stream* stream) { stream->restart(); }

std::size_t stream_state_bytes(const Stream* stream) {
  if (stream->ended) return 0;
  StateIo io;
  std::size_t calibration = 0;
  transfer(io, const_cast<Stream&>(*stream), &calibration);  // measuring reads sizes only
  return sizeof(Header) + io.used() + (owns_calibration(*stream) ? calibration_bytes(stream->own) : 0);
}

void stream_state_save(const Stream* stream, std::uint64_t model, std::uint8_t* to) {
  const Header header = header_of(*stream, model);
  std::memcpy(to, &header, sizeof header);
  StateIo io(to + sizeof header);
  std::size_t calibration = 0;
  transfer(io, const_cast<Stream&>(*stream), &calibration);  // saving only reads
  if (owns_calibration(*stream)) store_calibration(stream->own, to + sizeof header + calibration);
}

bool stream_state_request(const std::uint8_t* from, std::size_t size, std::size_t* channels, CalibrateOptions* options, Error* error) {
  Header h;
  if (size < sizeof h || std::memcmp(from, magic, sizeof magic) != 0)
    return fail(error, Status::argument, "expected the state of a stream, found %zu other bytes; pass the last call's state, or none", size);
  std::memcpy(&h, from, sizeof h);
  *channels = h.channels;
  options->standard_scaling = h.standard != 0;
  options->dynamic = h.dynamic != 0;
  options->false_alarms = h.false_alarms;
  options->period_s = h.period_s;
  options->frame_ms = h.frame_ms;
  options->threads = std::max<std::size_t>(h.threads, 1);
  return true;
}

bool stream_state_restore(Stream* stream, std::uint64_t model, const std::uint8_t* from, std::size_t size, Error* error) {
  Stream& s = *stream;
  s.restart();
  std::size_t channels = 0;
  CalibrateOptions options;
  if (!stream_state_request(from, size, &channels, &options, error)) return false;
  Header h;
  std::memcpy(&h, from, sizeof h);
  // What the stream was opened with is part of what it remembers.
  Header wanted = header_of(s, model);
  wanted.samples = h.samples;
  wanted.skipped = h.skipped;
  if (std::memcmp(&h, &wanted, sizeof h) != 0)
    return fail(error, Status::argument, "expected a state of this model with the same channels and options, found another's; start again");
  set_counters(s, h.samples, h.skipped);
  const std::size_t most = s.state.channels * s.state.tokens_done;
  StateIo io(from + sizeof h, size - sizeof h);
  std::size_t calibration = 0;
  transfer(io, s, &calibration);
  const std::size_t rest = owns_calibration(s) ? calibration_bytes(s.own) : 0;
  bool ok = io.ok() && size - sizeof h - io.used() == rest && h.skipped <= most;
  if (!ok) fail(error, Status::argument, "expected a state as it was given, found %zu bytes that are damaged; start again", size);
  if (ok && rest > 0) ok = restore_calibration(*s.model->weights, from + sizeof h + calibration, &s.own, error);
  if (!ok) s.restart();
  return ok;
}

}  // namespace sanderling
