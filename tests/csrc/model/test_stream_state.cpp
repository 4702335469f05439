// A stream's memory as bytes: whatever stream it is restored into goes on as the first would have, byte for byte, cold, calibrated,
// dynamic and with frames; what is damaged is refused or harmless.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "check.h"
#include "framed.h"
#include "kernels/kernels.h"
#include "model/engine.h"
#include "model_bytes.h"

using namespace sanderling;

namespace {

constexpr std::uint64_t id = 42;

struct Case {
  const char* name;
  bool calibrated;
  CalibrateOptions options;
  std::size_t channels, samples;
  std::uint32_t smooth;
};

CalibrateOptions dynamic() {
  CalibrateOptions options;
  options.dynamic = true;
  return options;
}

const Case cases[] = {
    {"cold", false, {}, 3, 900, 1},
    {"calibrated", true, {}, 3, 900, 3},
    {"dynamic", true, dynamic(), 2, 1600, 1},
    {"cold and dynamic", false, dynamic(), 1, 1600, 1},
    {"frames", true, framed(odd), 1, 20000, 1},
    {"cold frames", false, framed(shortest), 1, 10240, 1},
};

struct Result {
  std::vector<float> score, channel, reconstruction, components;
  std::vector<std::uint8_t> skipped;
  float threshold = 0.0f;
  std::uint64_t tokens = 0, n_skipped = 0;

  bool operator==(const Result& other) const {
    const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
      return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;  // NaN included
    };
    return same(score, other.score) && same(channel, other.channel) && same(reconstruction, other.reconstruction) &&
           same(components, other.components) && skipped == other.skipped && threshold == other.threshold && tokens == other.tokens &&
           n_skipped == other.n_skipped;
  }
};

Model* model_of(const Case& c, std::uint64_t seed) {
  ModelBytes bytes = random_model(Shape(), seed);
  *bytes.key("sanderling.smooth") = key_u32("sanderling.smooth", c.smooth);
  Model* cold = parse(bytes.finish());
  if (cold == nullptr || !c.calibrated) return cold;
  Error error;
  const std::vector<float> x = recording(c.samples, c.channels, 31, true);
  Model* model = model_calibrate(cold, x.data(), c.samples, c.channels, c.options, &error);
  CHECK(model != nullptr, "%s: %s", c.name, error.message);
  model_close(cold);
  return model;
}

std::vector<std::uint8_t> state_of(const Stream* stream) {
  std::vector<std::uint8_t> bytes(stream_state_bytes(stream));
  if (!bytes.empty()) stream_state_save(stream, id, bytes.data());
  return bytes;
}

// Scores in mixed chunks; next(stream) says which stream takes the next one.
Result run(const Model* model, const Case& c, const std::vector<float>& x, const std::function<Stream*(Stream*)>& next) {
  Error error;
  Result r;
  Random random{7};
  Stream* first = stream_open(model, c.channels, c.options, &error);
  if (!CHECK(first != nullptr, "%s: %s", c.name, error.message)) return r;
  Stream* stream = first;
  const std::size_t patch = stream_patch(stream), outputs = stream_outputs(stream), longest = c.samples / 12;
  std::vector<float> score(longest + patch), channel(score.size() * outputs), hat(channel.size()), components(channel.size() * 8);
  std::vector<std::uint8_t> skipped(channel.size());
  const auto take = [&](std::size_t at, std::size_t n, bool end) {
    Scores out;
    out.score = score.data();
    out.channel_score = channel.data();
    out.reconstruction = hat.data();
    out.components = components.data();
    out.skipped = skipped.data();
    out.capacity = score.size();
    CHECK(end ? stream_flush(stream, &out, &error) : stream_update(stream, x.data() + at * c.channels, n, &out, &error), "%s", error.message);
    const std::size_t patches = (out.written + patch - 1) / patch;
    r.score.insert(r.score.end(), score.begin(), score.begin() + static_cast<std::ptrdiff_t>(out.written));
    r.channel.insert(r.channel.end(), channel.begin(), channel.begin() + static_cast<std::ptrdiff_t>(out.written * outputs));
    r.reconstruction.insert(r.reconstruction.end(), hat.begin(), hat.begin() + static_cast<std::ptrdiff_t>(out.written * outputs));
    r.components.insert(r.components.end(), components.begin(), components.begin() + static_cast<std::ptrdiff_t>(patches * outputs * 8));
    r.skipped.insert(r.skipped.end(), skipped.begin(), skipped.begin() + static_cast<std::ptrdiff_t>(patches * outputs));
  };
  for (std::size_t at = 0; at < c.samples;) {
    const std::size_t n = std::min<std::size_t>(random.below(static_cast<std::uint32_t>(longest)), c.samples - at);
    take(at, n, false);
    at += n;
    stream = next(stream);
  }
  take(0, 0, true);
  r.threshold = stream_threshold(stream);
  r.tokens = stream_tokens(stream);
  r.n_skipped = stream_skipped(stream);
  CHECK(stream_state_bytes(stream) == 0);
  if (stream != first) stream_close(stream);
  stream_close(first);
  return r;
}

// After every chunk the memory moves: into a stream that has just been opened, and into one that was busy with something else.
void moves(const Case& c) {
  Model* model = model_of(c, 7);
  if (model == nullptr) return;
  const std::vector<float> x = recording(c.samples, c.channels, 5, true), other = recording(c.samples, c.channels, 6, true);
  const Result whole = run(model, c, x, [](Stream* stream) { return stream; });
  CHECK(c.options.dynamic == (whole.n_skipped > 0), "%s", c.name);
  for (const bool busy : {false, true}) {
    Stream* mine = nullptr;
    std::vector<float> scores(c.samples + 20000);
    const Result moved = run(model, c, x, [&](Stream* stream) {
      Error error;
      const std::vector<std::uint8_t> state = state_of(stream);
      if (mine == nullptr) mine = stream_open(model, c.channels, c.options, &error);
      stream_restart(mine);
      if (busy) {
        Scores out;
        out.score = scores.data();
        out.capacity = scores.size();
        CHECK(stream_update(mine, other.data(), c.samples, &out, &error));
      }
      CHECK(stream_state_restore(mine, id, state.data(), state.size(), &error), "%s: %s", c.name, error.message);
      CHECK(state_of(mine) == state, "%s", c.name);
      CHECK(stream_samples(mine) == stream_samples(stream));
      if (stream == mine) return stream;
      return mine;
    });
    CHECK(moved == whole, "%s, busy %d", c.name, busy);
  }
  model_close(model);
}

void what_a_state_is_of() {
  const Case& c = cases[4];
  Model* model = model_of(c, 7);
  if (model == nullptr) return;
  Error error;
  Stream* stream = stream_open(model, c.channels, c.options, &error);
  const std::vector<std::uint8_t> state = state_of(stream);
  std::size_t channels = 0;
  CalibrateOptions options;
  CHECK(stream_state_request(state.data(), state.size(), &channels, &options, &error));
  CHECK(channels == c.channels && options.frame_ms == c.options.frame_ms && options.period_s == c.options.period_s);
  CHECK(!stream_state_request(state.data(), 63, &channels, &options, &error) && refused(error, Status::argument, "state of a stream"));
  CHECK(!stream_state_restore(stream, id + 1, state.data(), state.size(), &error) && refused(error, Status::argument, "another's"));
  stream_close(stream);
  model_close(model);
}

// Cut anywhere and with any bit flipped: refused, and the stream as it was opened; or it goes on to finite or missing scores.
void damage(const Case& c) {
  Model* model = model_of(c, 7);
  if (model == nullptr) return;
  Error error;
  const std::vector<float> x = recording(c.samples, c.channels, 5, true);
  Stream* stream = stream_open(model, c.channels, c.options, &error);
  std::vector<float> scores(c.samples);
  const auto update = [&](Stream* s, std::size_t n) {
    Scores out;
    out.score = scores.data();
    out.capacity = scores.size();
    CHECK(stream_update(s, x.data(), n, &out, &error), "%s: %s", c.name, error.message);
    return out.written;
  };
  update(stream, c.samples - 3);
  const std::vector<std::uint8_t> state = state_of(stream);
  Stream* mine = stream_open(model, c.channels, c.options, &error);
  for (std::size_t n = 0; n < state.size(); n += n < 200 ? 1 : 997)
    CHECK(!stream_state_restore(mine, id, state.data(), n, &error), "%s: %zu bytes", c.name, n);
  Random random{11};
  std::size_t refusals = 0;
  const std::size_t next = 5 * stream_patch(mine);
  for (int i = 0; i < 200; ++i) {
    std::vector<std::uint8_t> bytes = state;
    const std::size_t at = i < 64 ? static_cast<std::size_t>(i) : random.below(static_cast<std::uint32_t>(bytes.size()));
    bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ (1u << random.below(8)));
    if (!stream_state_restore(mine, id, bytes.data(), bytes.size(), &error)) {
      ++refusals;
      CHECK(stream_samples(mine) == 0);
    }
    update(mine, std::min(next, c.samples));
  }
  CHECK(refusals > 50, "%s: %zu", c.name, refusals);
  std::vector<std::uint8_t> longer = state;
  longer.push_back(0);
  CHECK(!stream_state_restore(mine, id, longer.data(), longer.size(), &error));
  stream_close(mine);
  stream_close(stream);
  model_close(model);
}

}  // namespace

int main() {
  for (const Case& c : cases) {
    moves(c);
    damage(c);
  }
  what_a_state_is_of();
  const char* why = "";
  return check::report(select_kernels(nullptr, &why)->isa);
}
