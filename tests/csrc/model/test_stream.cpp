// One recording gives one array of scores: for every cut into chunks, on every instruction set of the binary, before and after
// a calibrated file was saved and opened. With --hash it prints the hash of a mixed recording's scores and nothing else.
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
  float threshold = 0.0f;

  bool operator==(const Result& other) const {
    const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
      return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;   // NaN included
    };
    return same(score, other.score) && same(channel, other.channel) && same(reconstruction, other.reconstruction) &&
           same(components, other.components) && std::memcmp(&threshold, &other.threshold, sizeof threshold) == 0;
  }
};

Model* parse(const Bytes& bytes, const char* isa) {
  Error error;
  Model* model = model_parse(bytes.data(), bytes.size(), isa, &error);
  if (!CHECK(model != nullptr)) std::fprintf(stderr, "%s\n", error.message);
  return model;
}

// Scores x cut as chunks says (used in turn, then again).
Result run(const Model* model, const std::vector<float>& x, std::size_t channels, const std::vector<std::size_t>& chunks) {
  Error error;
  Result r;
  const std::size_t n = x.size() / channels, patches = (n + 7) / 8;
  r.score.resize(n);
  r.channel.resize(n * channels);
  r.reconstruction.resize(n * channels);
  r.components.resize(patches * channels * 8);
  Stream* stream = stream_open(model, channels, {}, &error);
  if (!CHECK(stream != nullptr)) return r;
  std::size_t done = 0;
  const auto place = [&](std::size_t room) {
    Scores out;
    out.score = r.score.data() + done;
    out.channel_score = r.channel.data() + done * channels;
    out.reconstruction = r.reconstruction.data() + done * channels;
    out.components = r.components.data() + done / 8 * channels * 8;
    out.capacity = room;
    return out;
  };
  for (std::size_t at = 0, i = 0; at < n; ++i) {
    const std::size_t size = std::min(chunks[i % chunks.size()], n - at);
    Scores out = place((at + size) / 8 * 8 - at / 8 * 8);   // exactly what completes
    if (!CHECK(stream_update(stream, x.data() + at * channels, size, &out, &error))) break;
    done += out.written;
    at += size;
    CHECK(done == at / 8 * 8);
  }
  Scores out = place(n - done);
  CHECK(stream_flush(stream, &out, &error));
  CHECK(done + out.written == n && stream_samples(stream) == n);
  r.threshold = stream_threshold(stream);
  stream_close(stream);
  return r;
}

void chunks_do_not_show(const Model* model, const std::vector<float>& x, std::size_t channels) {
  const Result whole = run(model, x, channels, {x.size()});
  Random random{channels};
  std::vector<std::size_t> mixed;
  for (int i = 0; i < 50; ++i) mixed.push_back(random.below(i % 5 == 0 ? 600 : 40));   // zero-length chunks too
  for (const std::vector<std::size_t>& chunks : std::vector<std::vector<std::size_t>>{{1}, {7}, {8}, {9}, mixed})
    CHECK(run(model, x, channels, chunks) == whole);
}

// The scores must be worth comparing: finite, positive, NaN only where gaps are, at least `kinds` changes among them.
void scores_are_sane(const Result& r, std::size_t from, bool gaps, std::size_t kinds) {
  std::size_t missing = 0, different = 0;
  float last = 0.0f;
  for (std::size_t i = from; i < r.score.size(); ++i) {
    const float s = r.score[i];
    if (std::isnan(s)) {
      ++missing;
      continue;
    }
    CHECK(std::isfinite(s) && s > 0.0f);
    different += s != last ? 1u : 0u;
    last = s;
  }
  if (!CHECK(different >= kinds)) std::fprintf(stderr, "  %zu of %zu\n", different, kinds);
  CHECK(gaps || missing == 0);
}

void one_shape(std::size_t channels, bool gaps) {
  const Bytes bytes = random_model(Shape(), 7).finish();
  // Three samples short of a patch; beyond the cold start by more than a block of tokens.
  const std::size_t n = channels > 8 ? 701 : 1613;
  const std::vector<float> x = recording(n, channels, 13 * channels, gaps);
  const std::vector<float> reference = recording(channels > 8 ? 331 : 807, channels, 17 * channels, gaps);
  Model* cold = parse(bytes, nullptr);
  if (cold == nullptr) return;
  chunks_do_not_show(cold, x, channels);
  const Result first = run(cold, x, channels, {x.size()});
  CHECK(std::all_of(first.score.begin(), first.score.begin() + 512, [](float s) { return s == 0.0f; }));
  scores_are_sane(first, 512, gaps, (n - 512) / 16);

  Error error;
  Model* warm = model_calibrate(cold, reference.data(), reference.size() / channels, channels, {}, &error);
  if (CHECK(warm != nullptr)) {
    chunks_do_not_show(warm, x, channels);
    scores_are_sane(run(warm, x, channels, {x.size()}), 0, gaps, n / 16);
  }
  model_close(cold);   // a calibrated model needs nothing of its base
  if (warm != nullptr) CHECK(run(warm, x, channels, {64}) == run(warm, x, channels, {x.size()}));
  model_close(warm);
}

// A stream that ends cold: all scores 0, no threshold.
void shorter_than_the_cold_start() {
  Model* model = parse(random_model(Shape(), 7).finish(), nullptr);
  if (model == nullptr) return;
  for (const std::size_t n : {1u, 7u, 8u, 511u}) {
    const Result r = run(model, recording(n, 3, 1, false), 3, {n});
    CHECK(std::all_of(r.score.begin(), r.score.end(), [](float s) { return s == 0.0f; }));
    CHECK(std::isnan(r.threshold));
  }
  const Result r = run(model, recording(512, 3, 1, false), 3, {512});
  CHECK(r.score.back() == 0.0f && std::isfinite(r.threshold));
  model_close(model);
}

// A cold start is the calibration on its first samples, then a replay: the calibrated model, fed the same recording from the
// start, gives the same scores after them.
void cold_equals_calibrated() {
  Model* model = parse(random_model(Shape(), 9).finish(), nullptr);
  if (model == nullptr) return;
  const std::vector<float> x = recording(1200, 3, 21, true);
  Error error;
  Model* calibrated = model_calibrate(model, x.data(), 512, 3, {}, &error);
  const Result a = run(model, x, 3, {x.size()}), b = run(calibrated, x, 3, {x.size()});
  CHECK(std::memcmp(a.score.data() + 512, b.score.data() + 512, (1200 - 512) * sizeof(float)) == 0);
  CHECK(a.threshold == b.threshold);
  model_close(calibrated);
  model_close(model);
}

// Values near the end of float32's range overflow in the scaling: they count as clipped.
void extreme_values() {
  Model* model = parse(random_model(Shape(), 7).finish(), nullptr);
  if (model == nullptr) return;
  for (const float extreme : {1e30f, 3.4e38f}) {
    std::vector<float> x = recording(1000, 1, 2, false), wild = x;
    for (std::size_t i = 600; i < 900; i += 7) wild[i] = i % 2 == 0 ? extreme : -extreme;
    scores_are_sane(run(model, wild, 1, {x.size()}), 512, false, 30);
    // Among the cold samples they set the scale, and whatever follows looks alike.
    for (std::size_t i = 0; i < 300; ++i) wild[i] = i % 2 == 0 ? extreme : -extreme;
    scores_are_sane(run(model, wild, 1, {x.size()}), 512, false, 1);
  }
  // The clip ends the influence of the magnitude.
  std::vector<float> big = recording(1000, 1, 2, false), bigger = big;
  big[700] = 1e30f;
  bigger[700] = 3.4e38f;
  CHECK(run(model, big, 1, {1000}).score == run(model, bigger, 1, {1000}).score);
  model_close(model);
}

// A sample never changes an earlier patch's score.
void causal() {
  Model* model = parse(random_model(Shape(), 7).finish(), nullptr);
  if (model == nullptr) return;
  std::vector<float> x = recording(1200, 3, 5, false);
  const Result before = run(model, x, 3, {1200});
  for (std::size_t i = 1000 * 3; i < x.size(); ++i) x[i] = -x[i] * 3.0f;
  const Result after = run(model, x, 3, {1200});
  CHECK(std::memcmp(before.score.data(), after.score.data(), 1000 * sizeof(float)) == 0);
  CHECK(std::memcmp(before.score.data() + 1000, after.score.data() + 1000, 200 * sizeof(float)) != 0);
  model_close(model);
}

// A gap longer than max_gap ends in NaN after 32 samples, for that channel only.
void gap_rule() {
  Model* model = parse(random_model(Shape(), 7).finish(), nullptr);
  if (model == nullptr) return;
  std::vector<float> x = recording(1000, 2, 5, false);
  for (std::size_t t = 700; t < 760; ++t) x[t * 2] = std::nanf("");
  const Result r = run(model, x, 2, {1000});
  for (std::size_t t = 512; t < 1000; ++t) {
    CHECK(std::isnan(r.channel[t * 2]) == (t >= 732 && t < 760));
    CHECK(std::isfinite(r.channel[t * 2 + 1]) && std::isfinite(r.score[t]));
  }
  for (std::size_t t = 700; t < 760; ++t) x[t * 2 + 1] = std::nanf("");
  const Result both = run(model, x, 2, {1000});
  for (std::size_t t = 512; t < 1000; ++t) CHECK(std::isnan(both.score[t]) == (t >= 732 && t < 760));
  model_close(model);
}

std::uint64_t mixed_hash(const char* isa) {
  Shape shape;
  shape.d = 64;
  shape.scorer = 48;
  shape.ffn = {96, 64};
  Model* model = parse(random_model(shape, 23).finish(), isa);
  if (model == nullptr) return 0;
  const std::vector<float> x = recording(1501, 5, 29, true), reference = recording(803, 5, 31, true);
  Error error;
  CalibrateOptions options;
  options.standard_scaling = true;
  Model* calibrated = model_calibrate(model, reference.data(), 803, 5, options, &error);
  std::uint64_t hash = 0;
  for (const Model* m : {model, calibrated}) {
    const Result r = run(m, x, 5, {333});
    for (const std::vector<float>* part : {&r.score, &r.channel, &r.reconstruction, &r.components})
      hash = hash * 31 + hash_floats(part->data(), part->size());
    hash = hash * 31 + hash_floats(&r.threshold, 1);
  }
  model_close(calibrated);
  model_close(model);
  return hash;
}

// The bits of the scores on every machine; computed by this program with the reference kernels on x86.
constexpr std::uint64_t scores_hash = 0x3a1afd94821c2914u;

}  // namespace

int main(int argc, char** argv) {
  const std::initializer_list<hashes::Pinned> all = {{mixed_hash, scores_hash}};
  if (hashes::asked(argc, argv)) return hashes::print(all);
  for (const std::size_t channels : {1u, 3u, 38u})
    for (const bool gaps : {false, true}) one_shape(channels, gaps);
  shorter_than_the_cold_start();
  cold_equals_calibrated();
  extreme_values();
  causal();
  gap_rule();
  const char* why = nullptr;
  const int status = check::report(select_kernels(nullptr, &why)->isa);
  return status | hashes::compare(all);
}
