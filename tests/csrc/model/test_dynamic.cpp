// Dynamic mode (docs/model.md section 12): what it skips is decided by the past alone, the same for every cut into chunks and on
// every instruction set; a skipped token's keys and values reach the tokens behind it. With --hash it prints a hash of the scores.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>

#include "check.h"
#include "hashes.h"
#include "kernels/kernels.h"
#include "model/engine.h"
#include "model_bytes.h"

using namespace sanderling;

namespace {

struct Result {
  std::vector<float> score, channel, reconstruction, components;
  std::vector<std::uint8_t> skipped;
  std::uint64_t tokens = 0, n_skipped = 0;

  bool same_floats(const Result& other) const {
    const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
      return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;   // NaN included
    };
    return same(score, other.score) && same(channel, other.channel) && same(reconstruction, other.reconstruction) &&
           same(components, other.components);
  }
  bool operator==(const Result& other) const {
    return same_floats(other) && skipped == other.skipped && tokens == other.tokens && n_skipped == other.n_skipped;
  }
  double share() const { return static_cast<double>(n_skipped) / static_cast<double>(tokens); }
};

Model* parse(const Bytes& bytes, const char* isa) {
  Error error;
  Model* model = model_parse(bytes.data(), bytes.size(), isa, &error);
  if (!CHECK(model != nullptr)) std::fprintf(stderr, "%s\n", error.message);
  return model;
}

Model* calibrated(const Shape& shape, const char* isa, const std::vector<float>& reference, std::size_t channels) {
  Model* cold = parse(random_model(shape, 7).finish(), isa);
  Error error;
  Model* warm = cold == nullptr ? nullptr : model_calibrate(cold, reference.data(), reference.size() / channels, channels, {}, &error);
  CHECK(warm != nullptr);
  model_close(cold);
  return warm;
}

Result run(const Model* model, const std::vector<float>& x, std::size_t channels, const std::vector<std::size_t>& chunks,
           bool dynamic = true) {
  Error error;
  Result r;
  const std::size_t n = x.size() / channels, patches = (n + 7) / 8;
  r.score.resize(n);
  r.channel.resize(n * channels);
  r.reconstruction.resize(n * channels);
  r.components.resize(patches * channels * 8);
  r.skipped.resize(patches * channels, 9);
  CalibrateOptions options;
  options.dynamic = dynamic;
  Stream* stream = stream_open(model, channels, options, &error);
  if (!CHECK(stream != nullptr)) return r;
  std::size_t done = 0;
  const auto place = [&] {
    Scores out;
    out.score = r.score.data() + done;
    out.channel_score = r.channel.data() + done * channels;
    out.reconstruction = r.reconstruction.data() + done * channels;
    out.components = r.components.data() + done / 8 * channels * 8;
    out.skipped = r.skipped.data() + done / 8 * channels;
    out.capacity = n - done;
    return out;
  };
  for (std::size_t at = 0, i = 0; at < n; ++i) {
    const std::size_t size = std::min(chunks[i % chunks.size()], n - at);
    Scores out = place();
    if (!CHECK(stream_update(stream, x.data() + at * channels, size, &out, &error))) break;
    done += out.written;
    at += size;
  }
  Scores out = place();
  CHECK(stream_flush(stream, &out, &error) && done + out.written == n);
  r.tokens = stream_tokens(stream);
  r.n_skipped = stream_skipped(stream);
  stream_close(stream);
  return r;
}

Shape shape_of(float skip_level, std::uint32_t probe_every) {
  Shape shape;
  shape.skip_level = skip_level;
  shape.probe_every = probe_every;
  return shape;
}

// Batch = stream, for one channel and several, cold and calibrated, with tokens of both kinds in plenty.
void chunks_do_not_show(std::size_t channels, bool gaps) {
  // A cold start's 512 samples, then more than a block of tokens and a part of a patch.
  const std::vector<float> x = recording(2613, channels, 13, gaps), reference = recording(900, channels, 17, gaps);
  Model* cold = parse(random_model(shape_of(1.0f, 8), 7).finish(), nullptr);
  Model* warm = calibrated(shape_of(1.0f, 8), nullptr, reference, channels);
  Random random{channels};
  std::vector<std::size_t> mixed;
  for (int i = 0; i < 50; ++i) mixed.push_back(random.below(i % 5 == 0 ? 600 : 40));
  for (const Model* model : {cold, warm}) {
    const Result whole = run(model, x, channels, {x.size()});
    if (!CHECK(whole.share() > 0.2 && whole.share() < 0.9)) std::fprintf(stderr, "  share %g\n", whole.share());
    for (const std::vector<std::size_t>& chunks : std::vector<std::vector<std::size_t>>{{1}, {7}, {8}, {9}, {64}, mixed})
      CHECK(run(model, x, channels, chunks) == whole);
    CHECK(whole.tokens == channels * ((2613 + 7) / 8));
    CHECK(whole.n_skipped == static_cast<std::uint64_t>(std::count(whole.skipped.begin(), whole.skipped.end(), 1)));
  }
  model_close(cold);
  model_close(warm);
}

// A model that probes every token skips none: the full mode's bytes. Without the switch nothing is skipped either.
void nothing_skipped_is_the_full_mode() {
  const std::vector<float> x = recording(1613, 3, 13, true), reference = recording(900, 3, 17, true);
  Model* always = calibrated(shape_of(1.0f, 1), nullptr, reference, 3);
  Model* often = calibrated(shape_of(1.0f, 8), nullptr, reference, 3);
  const Result full = run(often, x, 3, {x.size()}, false);
  CHECK(full.n_skipped == 0 && full == run(always, x, 3, {33}));
  CHECK(!full.same_floats(run(often, x, 3, {33})));
  model_close(always);
  model_close(often);
}

// What a skipped token shows, and when there may be one: after 64 tokens, at most probe_every - 1 in a row.
void skipped_tokens() {
  const std::vector<float> x = recording(2400, 2, 13, false), reference = recording(900, 2, 17, false);
  Model* model = calibrated(shape_of(2.0f, 4), nullptr, reference, 2);
  const Result r = run(model, x, 2, {100});
  std::size_t longest = 0, row_length = 0;
  for (std::size_t c = 0; c < 2; ++c)
    for (std::size_t t = 0; t < 300; ++t) {
      const bool skipped = r.skipped[t * 2 + c] == 1;
      const float* l = r.components.data() + (t * 2 + c) * 8;
      row_length = skipped ? row_length + 1 : 0;
      longest = std::max(longest, row_length);
      CHECK(!skipped || t >= 64);
      CHECK(std::isnan(r.reconstruction[(t * 8) * 2 + c]) == skipped);
      CHECK(std::isfinite(r.channel[(t * 8) * 2 + c]));
      for (const std::size_t k : {0u, 1u, 3u, 4u, 5u, 7u}) CHECK(!skipped || l[k] == 0.0f);
      // log1p(2): no further from the center than skip_level.
      for (const std::size_t k : {2u, 6u}) CHECK(!skipped || l[k] <= 1.0987f);
      // What comes behind a skipped token was not predicted.
      if (t > 0 && !skipped && r.skipped[(t - 1) * 2 + c] == 1) CHECK(l[3] == 0.0f && l[4] == 0.0f && l[5] != 0.0f);
    }
  CHECK(longest == 3);
  model_close(model);
}

// An executed token attends to the tokens skipped before it: what they held changes its score, whatever the cheap stage says.
void skipped_tokens_write_keys_and_values() {
  const std::vector<float> x = recording(2400, 1, 13, false), reference = recording(900, 1, 17, false);
  Model* model = calibrated(shape_of(1.0f, 8), nullptr, reference, 1);
  const Result before = run(model, x, 1, {x.size()});
  std::size_t tried = 0, reached = 0;
  for (std::size_t t = 80; t + 20 < 300 && tried < 8; t += 9) {
    if (before.skipped[t] == 0) continue;
    std::vector<float> nudged = x;
    for (std::size_t i = 0; i < 8; ++i) nudged[t * 8 + i] += (i % 2 == 0 ? 0.05f : -0.05f);
    const Result after = run(model, nudged, 1, {x.size()});
    if (after.skipped != before.skipped) continue;   // the nudge must stay below the cheap stage's notice
    ++tried;
    // Behind the raw window's 7 tokens and the wavelet's 4 the nudge lives in the attention's history only.
    for (std::size_t later = t + 12; later < t + 16; ++later)
      if (before.skipped[later] == 0 && std::memcmp(&before.score[later * 8], &after.score[later * 8], sizeof(float)) != 0) {
        ++reached;
        break;
      }
  }
  if (!CHECK(tried > 0 && reached > 0)) std::fprintf(stderr, "  %zu of %zu\n", reached, tried);
  model_close(model);
}

// A sample never changes an earlier patch's score, nor whether it was skipped.
void causal() {
  const std::vector<float> reference = recording(900, 3, 17, false);
  Model* model = calibrated(shape_of(1.0f, 8), nullptr, reference, 3);
  std::vector<float> x = recording(1600, 3, 5, false);
  const Result before = run(model, x, 3, {1600});
  for (std::size_t i = 1200 * 3; i < x.size(); ++i) x[i] = -x[i] * 3.0f;
  const Result after = run(model, x, 3, {1600});
  CHECK(std::memcmp(before.score.data(), after.score.data(), 1200 * sizeof(float)) == 0);
  CHECK(std::memcmp(before.skipped.data(), after.skipped.data(), 150 * 3) == 0);
  CHECK(before.skipped != after.skipped);
  model_close(model);
}

// The keys of dynamic mode are required and bounded.
void attacks_on_the_keys() {
  const auto opens = [](const ModelBytes& bytes) {
    const Bytes file = bytes.finish();
    Error error;
    Model* model = model_parse(file.data(), file.size(), nullptr, &error);
    CHECK(model != nullptr || error.status == Status::model_format);
    model_close(model);
    return model != nullptr;
  };
  const std::string level = "sanderling.skip_level", probe = "sanderling.probe_every";
  for (const float bad : {0.0f, -1.0f, 1e30f, INFINITY, -INFINITY, std::nanf("")}) {
    ModelBytes bytes = random_model(Shape(), 7);
    *bytes.key(level) = key_f32(level, bad);
    CHECK(!opens(bytes));
  }
  for (const std::uint32_t bad : {0u, 65537u, 0xffffffffu}) {
    ModelBytes bytes = random_model(Shape(), 7);
    *bytes.key(probe) = key_u32(probe, bad);
    CHECK(!opens(bytes));
  }
  for (const std::string& name : {level, probe}) {
    ModelBytes bytes = random_model(Shape(), 7);
    bytes.keys.erase(bytes.keys.begin() + (bytes.key(name) - bytes.keys.data()));
    CHECK(!opens(bytes));
    bytes = random_model(Shape(), 7);
    *bytes.key(name) = name == level ? key_u32(name, 2) : key_f32(name, 2.0f);
    CHECK(!opens(bytes));
  }
  CHECK(opens(random_model(Shape(), 7)));
}

std::uint64_t dynamic_hash(const char* isa) {
  const std::vector<float> x = recording(2501, 5, 29, true), reference = recording(803, 5, 31, true);
  Model* model = calibrated(shape_of(1.0f, 8), isa, reference, 5);
  const Result r = run(model, x, 5, {333});
  CHECK(r.share() > 0.1);
  std::uint64_t hash = r.n_skipped;
  for (const std::vector<float>* part : {&r.score, &r.channel, &r.reconstruction, &r.components})
    hash = hash * 31 + hash_floats(part->data(), part->size());
  for (const std::uint8_t skipped : r.skipped) hash = hash * 31 + skipped;
  model_close(model);
  return hash;
}

// The bits on every machine; computed by this program with the reference kernels on x86.
constexpr std::uint64_t expected_hash = 0x1dc5405587d29dbfu;

}  // namespace

int main(int argc, char** argv) {
  const std::initializer_list<hashes::Pinned> all = {{dynamic_hash, expected_hash}};
  if (hashes::asked(argc, argv)) return hashes::print(all);
  for (const std::size_t channels : {1u, 5u})
    for (const bool gaps : {false, true}) chunks_do_not_show(channels, gaps);
  nothing_skipped_is_the_full_mode();
  skipped_tokens();
  skipped_tokens_write_keys_and_values();
  causal();
  attacks_on_the_keys();
  const char* why = nullptr;
  const int status = check::report(select_kernels(nullptr, &why)->isa);
  return status | hashes::compare(all);
}
