// Frames of high-rate signals: one recording gives one array of scores for every cut into chunks and on every instruction set.
// With --hash it prints the hashes and nothing else.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "framed.h"
#include "hashes.h"
#include "kernels/kernels.h"

namespace {

void chunks_do_not_show(const Model* model, const std::vector<float>& x, std::size_t channels, const CalibrateOptions& options) {
  const Result whole = run(model, x, channels, {x.size()}, options);
  Random random{channels};
  std::vector<std::size_t> mixed;
  for (int i = 0; i < 50; ++i) mixed.push_back(random.below(i % 5 == 0 ? 1500 : 90));   // zero-length chunks too
  for (const std::vector<std::size_t>& chunks : std::vector<std::vector<std::size_t>>{{1}, {15}, {16}, {17}, {128}, mixed})
    CHECK(run(model, x, channels, chunks, options) == whole);
}

void streams(std::size_t length, std::size_t channels, bool gaps) {
  Model* base = parse(random_model(Shape(), 7).finish());
  if (base == nullptr) return;
  const CalibrateOptions options = framed(length);
  const std::size_t n = (512 + 40) * length + 5;   // cold, five patches, a tail of a frame
  const std::vector<float> x = recording(n, channels, 13 * channels, gaps);
  chunks_do_not_show(base, x, channels, options);
  const Result cold = run(base, x, channels, {n}, options);
  CHECK(std::all_of(cold.score.begin(), cold.score.begin() + static_cast<std::ptrdiff_t>(512 * length), [](float s) { return s == 0.0f; }));
  CHECK(std::all_of(cold.score.begin() + static_cast<std::ptrdiff_t>(512 * length), cold.score.end(),
                    [&](float s) { return std::isnan(s) ? gaps : std::isfinite(s) && s > 0.0f; }));
  Error error;
  Model* warm = model_calibrate(base, x.data(), n, channels, options, &error);
  if (CHECK(warm != nullptr)) {
    const std::vector<float> y = recording(60 * length + 11, channels, 5, gaps);
    chunks_do_not_show(warm, y, channels, {});
    // Every sample of a patch has one score, where it has one.
    const Result r = run(warm, y, channels, {y.size()}, {});
    for (std::size_t i = 0; i + 1 < r.score.size(); ++i)
      CHECK((i + 1) % (8 * length) == 0 || r.score[i] == r.score[i + 1] || std::isnan(r.score[i]) || std::isnan(r.score[i + 1]));
  }
  model_close(warm);
  model_close(base);
}

std::vector<float> frames_of(const std::vector<float>& x, std::size_t channels, std::size_t length, const char* isa = nullptr) {
  Error error;
  const std::size_t n = x.size() / channels;
  std::vector<float> out(n / length * channels * frame_features);
  if (!CHECK(make_frames(isa, x.data(), n, channels, length, out.data(), &error))) std::fprintf(stderr, "%s\n", error.message);
  return out;
}

bool all_nan(const float* f) {
  return std::all_of(f, f + frame_features, [](float v) { return std::isnan(v); });
}

void missing_values() {
  const std::size_t L = 64;
  std::vector<float> x = recording(10 * L, 1, 3, false);
  const std::vector<float> clean = frames_of(x, 1, L);
  CHECK(std::all_of(clean.begin(), clean.end(), [](float v) { return std::isfinite(v); }));
  // Half a frame may be missing, one sample more may not; infinities are missing values.
  for (std::size_t i = 0; i < L / 2; ++i) x[3 * L + 2 * i] = i % 2 == 0 ? quiet_nan : -inf;
  CHECK(!all_nan(&frames_of(x, 1, L)[3 * frame_features]));
  x[3 * L + 1] = quiet_nan;
  std::vector<float> holed = frames_of(x, 1, L);
  for (std::size_t t = 0; t < 10; ++t) CHECK(all_nan(&holed[t * frame_features]) == (t == 3));
  CHECK(std::memcmp(holed.data(), clean.data(), 3 * frame_features * sizeof(float)) == 0);   // causal
  // The filters start afresh behind it: what lay before has no influence.
  std::vector<float> other(x);
  for (std::size_t i = 0; i < 3 * L; ++i) other[i] = 100.0f;
  x[4 * L - 1] = other[4 * L - 1] = quiet_nan;
  holed = frames_of(x, 1, L);
  const std::vector<float> changed = frames_of(other, 1, L);
  CHECK(std::memcmp(&holed[4 * frame_features], &changed[4 * frame_features], 6 * frame_features * sizeof(float)) == 0);
  // A gap on a straight line changes no filter: there is no jump in the details of a ramp.
  std::vector<float> ramp(4 * L);
  for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<float>(i);
  const std::vector<float> whole = frames_of(ramp, 1, L);
  std::fill(ramp.begin() + 2 * L + 9, ramp.begin() + 2 * L + 30, quiet_nan);
  const std::vector<float> gap = frames_of(ramp, 1, L);
  for (std::size_t k = 0; k < frame_levels; ++k) CHECK(std::fabs(gap[2 * frame_features + k] - whole[2 * frame_features + k]) < 1e-4f);
}

// Features stay finite for what a sensor can send.
void extreme_values() {
  const std::size_t L = 32;
  for (const float scale : {0.0f, 1e-30f, 1.0f, 1e12f, 1e35f}) {
    std::vector<float> x = recording(20 * L, 1, 9, false);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = i % 3 == 0 ? x[i] * scale : -x[i] * scale;
    for (const float v : frames_of(x, 1, L)) CHECK(std::isfinite(v) && std::fabs(v) < 80.0f);
  }
  // An impact: its level's kurtosis rises to almost the number of samples.
  std::vector<float> x(20 * 256, 0.0f);
  Random random{5};
  for (float& v : x) v = 0.01f * random.uniform();
  const float calm = frames_of(x, 1, 256)[10 * frame_features + frame_features - 1];
  x[10 * 256 + 100] = 5.0f;
  const float hit = frames_of(x, 1, 256)[10 * frame_features + frame_features - 1];
  CHECK(calm < 1.6f && hit > 4.0f && hit < 5.6f);   // logs of about 3, of 256
}

std::uint64_t hash_on(const char* isa) {
  Shape shape;
  shape.d = 64;
  shape.scorer = 48;
  shape.ffn = {96, 64};
  Model* model = parse(random_model(shape, 23).finish(), isa);
  if (model == nullptr) return 0;
  const std::size_t n = 570 * odd + 3;
  const std::vector<float> x = recording(n, 2, 29, true), f = frames_of(x, 2, odd, isa);
  Error error;
  Model* warm = model_calibrate(model, x.data(), 300 * odd, 2, framed(odd), &error);
  std::uint64_t hash = hash_floats(f.data(), f.size());
  for (const Model* m : {model, warm}) {
    const Result r = run(m, x, 2, {333}, m == model ? framed(odd) : CalibrateOptions{});
    for (const std::vector<float>* part : {&r.score, &r.rows, &r.hats, &r.components})
      hash = hash * 31 + hash_floats(part->data(), part->size());
    hash = hash * 31 + hash_floats(&r.threshold, 1);
  }
  model_close(warm);
  model_close(model);
  return hash;
}

// The bits of frames alone on every machine; computed by this program with the reference kernels on x86.
constexpr std::uint64_t frames_hash = 0x62100d06b6cc53bdu;

std::uint64_t frames_hash_on(const char* isa) {
  std::uint64_t hash = 0;
  for (const std::size_t length : {shortest, odd, std::size_t{480}})
    for (const std::size_t channels : {1u, 3u}) {
      const std::vector<float> f = frames_of(recording(20 * length, channels, length, true), channels, length, isa);
      hash = hash * 31 + hash_floats(f.data(), f.size());
    }
  return hash;
}

}  // namespace

int main(int argc, char** argv) {
  const std::initializer_list<hashes::Pinned> all = {{frames_hash_on, frames_hash}, {hash_on, hash_on("reference")}};
  if (hashes::asked(argc, argv)) return hashes::print(all);
  for (const bool gaps : {false, true}) {
    streams(shortest, 2, gaps);
    streams(odd, 1, gaps);
  }
  missing_values();
  extreme_values();
  const char* why = nullptr;
  const int status = check::report(select_kernels(nullptr, &why)->isa);
  return status | hashes::compare(all);
}
