// The caller's mistakes, each with its status and a message; the heap stays untouched while a stream runs.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "allocations.h"
#include "check.h"
#include "model/engine.h"
#include "model_bytes.h"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

using namespace sanderling;

namespace {

bool refused(const Error& error, Status status, const char* part) {
  return error.status == status && std::strstr(error.message, part) != nullptr && std::strstr(error.message, "expected") != nullptr;
}

Model* open_model(std::uint64_t seed) {
  const Bytes bytes = random_model(Shape(), seed).finish();
  return model_parse(bytes.data(), bytes.size(), nullptr, nullptr);
}

void streams() {
  Error error;
  Model* model = open_model(1);
  CHECK(stream_open(nullptr, 1, {}, &error) == nullptr && refused(error, Status::argument, "null"));
  CHECK(stream_open(model, 0, {}, &error) == nullptr && refused(error, Status::argument, "found 0"));
  CHECK(stream_open(model, 1025, {}, &error) == nullptr && refused(error, Status::argument, "found 1025"));
  CHECK(stream_open(model, 0, {}, nullptr) == nullptr);
  CalibrateOptions bad;
  for (const float value : {0.0f, -1.0f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    bad.false_alarms = value;
    CHECK(stream_open(model, 1, bad, &error) == nullptr && refused(error, Status::argument, "false_alarms"));
  }

  Stream* stream = stream_open(model, 2, {}, &error);
  const std::vector<float> x = recording(20, 2, 1, false);
  float score[16];
  Scores out;
  out.score = score;
  out.capacity = 15;
  CHECK(!stream_update(stream, x.data(), 16, &out, &error) && refused(error, Status::argument, "room for 16 samples"));
  CHECK(stream_samples(stream) == 0);   // refused as a whole
  out.capacity = 16;
  CHECK(!stream_update(stream, nullptr, 1, &out, &error) && refused(error, Status::argument, "null"));
  CHECK(!stream_update(stream, x.data(), 1, nullptr, &error) && refused(error, Status::argument, "null"));
  CHECK(!stream_update(stream, x.data(), std::numeric_limits<std::size_t>::max(), &out, &error) && refused(error, Status::argument, "samples"));
  CHECK(stream_update(stream, nullptr, 0, &out, &error) && out.written == 0);
  CHECK(stream_update(stream, x.data(), 19, &out, &error) && out.written == 16);
  out.capacity = 2;
  CHECK(!stream_flush(stream, &out, &error) && refused(error, Status::argument, "room for 3 samples"));
  out.capacity = 3;
  CHECK(stream_flush(stream, &out, &error) && out.written == 3);
  CHECK(!stream_flush(stream, &out, &error) && refused(error, Status::argument, "flushed"));
  CHECK(!stream_update(stream, x.data(), 1, &out, &error) && refused(error, Status::argument, "flushed"));
  stream_close(stream);
  stream_close(nullptr);
  model_close(model);
  model_close(nullptr);
}

void calibration() {
  Error error;
  Model* model = open_model(2);
  std::vector<float> x = recording(512, 2, 1, false);
  CHECK(model_calibrate(nullptr, x.data(), 512, 2, {}, &error) == nullptr && refused(error, Status::argument, "null"));
  CHECK(model_calibrate(model, nullptr, 512, 2, {}, &error) == nullptr && refused(error, Status::argument, "null"));
  CHECK(model_calibrate(model, x.data(), 512, 0, {}, &error) == nullptr && refused(error, Status::argument, "found 0"));
  CHECK(model_calibrate(model, x.data(), 512, 1025, {}, &error) == nullptr && refused(error, Status::argument, "found 1025"));
  CHECK(model_calibrate(model, x.data(), 255, 2, {}, &error) == nullptr && refused(error, Status::data, "found 255"));
  CalibrateOptions bad;
  bad.period_s = -1.0f;
  CHECK(model_calibrate(model, x.data(), 512, 2, bad, &error) == nullptr && refused(error, Status::argument, "period_s"));
  const std::vector<float> missing(1024, std::nanf(""));
  CHECK(model_calibrate(model, missing.data(), 512, 2, {}, &error) == nullptr && refused(error, Status::data, "finite"));

  // A constant channel and one that is missing throughout are no errors: they score, and not as infinity.
  for (std::size_t t = 0; t < 512; ++t) {
    x[2 * t] = 5.0f;
    x[2 * t + 1] = std::nanf("");
  }
  Model* calibrated = model_calibrate(model, x.data(), 512, 2, {}, &error);
  if (CHECK(calibrated != nullptr)) {
    CHECK(stream_open(calibrated, 3, {}, &error) == nullptr && refused(error, Status::argument, "expected 2 channels"));
    Stream* stream = stream_open(calibrated, 2, {}, &error);
    std::vector<float> score(512), channel(1024);
    Scores out;
    out.score = score.data();
    out.channel_score = channel.data();
    out.capacity = 512;
    x[2 * 300] = 6.0f;
    CHECK(stream_update(stream, x.data(), 512, &out, &error) && out.written == 512);
    std::size_t finite = 0, silent = 0;
    for (std::size_t t = 0; t < 512; ++t) {
      finite += std::isfinite(score[t]) ? 1u : 0u;
      silent += std::isnan(channel[2 * t + 1]) ? 1u : 0u;
    }
    CHECK(finite == 512 && silent == 512);
    CHECK(score[300] != score[250]);
    stream_close(stream);
  }
  model_close(calibrated);
  model_close(model);
}

// More false alarms wanted, or a longer period, lower the threshold.
void thresholds() {
  Error error;
  Model* model = open_model(3);
  const std::vector<float> x = recording(8000, 1, 1, false);
  float last = std::numeric_limits<float>::infinity();
  for (const float false_alarms : {0.01f, 1.0f, 100.0f}) {
    CalibrateOptions options;
    options.false_alarms = false_alarms;
    Model* calibrated = model_calibrate(model, x.data(), 8000, 1, options, &error);
    ModelInfo info;
    model_info(calibrated, &info);
    CHECK(info.threshold > 0.0f && info.threshold < last);
    last = info.threshold;
    model_close(calibrated);
  }
  CalibrateOptions day;
  float thresholds[2];
  for (int i = 0; i < 2; ++i) {
    day.period_s = i == 0 ? 0.01f : 60.0f;   // a day of 8.6 million samples, of 1,440
    Model* calibrated = model_calibrate(model, x.data(), 8000, 1, day, &error);
    ModelInfo info;
    model_info(calibrated, &info);
    thresholds[i] = info.threshold;
    model_close(calibrated);
  }
  CHECK(thresholds[0] > thresholds[1]);
  model_close(model);
}

// The cold start's calibration included.
void no_heap_in_a_stream() {
  Model* model = open_model(4);
  const std::vector<float> x = recording(1203, 3, 1, true), raw = recording(16 * 530 + 3, 1, 1, true);
  std::vector<float> score(raw.size()), reconstruction(1203 * 3);
  Error error;
  CalibrateOptions framed;
  framed.period_s = 1e-4f;
  framed.frame_ms = 1.6f;
  Stream* frames = stream_open(model, 1, framed, &error);
  Stream* stream = stream_open(model, 3, {}, &error);
  Scores out;
  out.score = score.data();
  out.reconstruction = reconstruction.data();
  out.capacity = score.size();
  counting = true;
  Stream* counted = stream_open(model, 3, {}, &error);   // the count works
  CHECK(allocations >= 2);
  allocations = 0;
  const bool updated = stream_update(stream, x.data(), 500, &out, &error) && stream_update(stream, x.data() + 1500, 703, &out, &error) &&
                       stream_flush(stream, &out, &error);
  out.reconstruction = nullptr;
  CalibrateOptions busy;
  busy.dynamic = true;
  busy.threads = 2;
  counting = false;
  StreamGroup* group = group_open(model, 5, 3, busy, &error);
  std::vector<const float*> from(5, x.data());
  const std::vector<std::size_t> sizes(5, 1203);
  std::vector<float> of_group(5 * 1203);
  std::vector<Scores> out_of_group(5);
  for (std::size_t i = 0; i < 5; ++i) {
    out_of_group[i].score = of_group.data() + i * 1203;
    out_of_group[i].capacity = 1203;
  }
  counting = true;
  const bool grouped = group_update(group, from.data(), sizes.data(), out_of_group.data(), &error);
  const bool framed_too = stream_update(frames, raw.data(), raw.size(), &out, &error) && stream_flush(frames, &out, &error);
  counting = false;
  CHECK(updated && grouped && framed_too && allocations == 0);
  group_close(group);
  stream_close(frames);
  stream_close(counted);
  stream_close(stream);
  model_close(model);
}

void float_environment() {
  CHECK(float_environment_ok());
#if defined(__SSE__)
  Error error;
  const unsigned before = _mm_getcsr();
  for (const unsigned bits : {0x8000u, 0x0040u, 0x2000u}) {   // FTZ, DAZ, round down
    _mm_setcsr(before | bits);
    const bool ok = float_environment_ok();
    Model* model = open_model(5);
    _mm_setcsr(before);
    CHECK(!ok && model == nullptr);
  }
  Model* model = open_model(5);
  Stream* stream = stream_open(model, 1, {}, &error);
  float x = 0.0f;
  Scores out;
  _mm_setcsr(before | 0x8000u);
  const bool updated = stream_update(stream, &x, 1, &out, &error);
  _mm_setcsr(before);
  CHECK(!updated && refused(error, Status::environment, "floating-point"));
  stream_close(stream);
  model_close(model);
#endif
}

void names() {
  CHECK(std::strstr(isa_names(), "reference") != nullptr);
  Error error;
  const Bytes bytes = random_model(Shape(), 1).finish();
  setenv("SANDERLING_ISA", "reference", 1);
  Model* model = model_parse(bytes.data(), bytes.size(), nullptr, &error);
  ModelInfo info;
  model_info(model, &info);
  CHECK(std::strcmp(info.isa, "reference") == 0 && !info.calibrated && info.min_reference == 256 && std::strcmp(info.variant, "random") == 0);
  model_close(model);
  setenv("SANDERLING_ISA", "altivec", 1);
  CHECK(model_parse(bytes.data(), bytes.size(), nullptr, &error) == nullptr && refused(error, Status::isa, "altivec"));
  CHECK(model_parse(bytes.data(), bytes.size(), "", &error) == nullptr && error.status == Status::isa);
  unsetenv("SANDERLING_ISA");
}

}  // namespace

int main() {
  streams();
  calibration();
  thresholds();
  no_heap_in_a_stream();
  float_environment();
  names();
  return check::report("any");
}
