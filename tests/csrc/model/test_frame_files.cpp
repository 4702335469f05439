// Which frames a request gets, and files with frames: what is saved opens again with the same scores, and the keys are attacked like
// any other.
#include <string>

#include <unistd.h>

#include "framed.h"

namespace {

struct Choice {
  float stored_period, frame_ms, period_s;   // stored: frames of 100 samples, 0: none
  std::size_t samples;
  int expected;                              // samples a frame, 0: none, -1: refused
};

void choices() {
  const float khz48 = 1.0f / 48000.0f;
  const Choice table[] = {
      {0, -1, 0, 0, 0},           {0, -1, 1.0f, 0, 0},          {0, -1, 0.9999e-3f, 0, 0},       {0, -1, khz48, 0, 480},
      {0, -1, khz48, 480 * 512, 480}, {0, -1, khz48, 480 * 512 - 1, 240}, {0, -1, khz48, 300, 240}, {0, -1, 1.0f / 12000.0f, 0, 480},
      {0, -1, 1.0f / 12000.0f, 1, 120}, {0, -1, 5e-4f, 0, 100}, {0, -1, 5e-4f, 1, 100},       {0, -1, 1e-7f, 0, 8192},
      {0, 0, khz48, 0, 0},        {0, 10, khz48, 1, 480},       {0, 10, 0, 0, -1},            {0, 5, 1e-4f, 0, 50},
      {0, 1000, 0.01f, 0, 100},   {0, 1e-3f, khz48, 0, -1},     {0, 1000, khz48, 0, -1},      {0, quiet_nan, khz48, 0, -1},
      {0, inf, khz48, 0, -1},     {0, 1e30f, 1e-30f, 0, -1},    {khz48, -1, 0, 0, 100},       {khz48, -1, khz48 * 1.009f, 0, 100},
      {khz48, -1, khz48 * 1.02f, 0, 480}, {khz48, -1, 1.0f, 0, 0}, {khz48, 0, 0, 0, 0},       {khz48, 20, 0, 0, 960},
  };
  for (const Choice& c : table) {
    Error error;
    FrameConfig frame, stored = {c.stored_period > 0.0f ? 100u : 0u, c.stored_period};
    const bool good = choose_frame(stored, c.frame_ms, c.period_s, c.samples, &frame, &error);
    const int found = good ? static_cast<int>(frame.samples) : -1;
    if (!CHECK(found == c.expected)) std::fprintf(stderr, "  row %td: %d\n", &c - table, found);
    if (!good) CHECK(refused(error, Status::argument, "found"));
  }
}

void requests() {
  Error error;
  Model* base = parse(random_model(Shape(), 3).finish());
  const std::vector<float> x = recording(300 * shortest, 2, 1, false);
  const CalibrateOptions options = framed(shortest);
  CHECK(model_calibrate(base, x.data(), 256 * shortest - 1, 2, options, &error) == nullptr && refused(error, Status::data, "4096 samples"));
  CHECK(stream_open(base, 147, options, &error) == nullptr && refused(error, Status::argument, "at most 146 channels"));
  const std::vector<float> wide(147 * 256 * shortest, 0.0f);
  CHECK(model_calibrate(base, wide.data(), 256 * shortest, 147, options, &error) == nullptr && refused(error, Status::argument, "at most 146"));
  // More than half of every frame is missing: no frame has a value.
  std::vector<float> sparse(256 * shortest, quiet_nan);
  for (std::size_t i = 0; i < sparse.size(); i += 4) sparse[i] = 1.0f;
  CHECK(model_calibrate(base, sparse.data(), sparse.size(), 1, options, &error) == nullptr && refused(error, Status::data, "finite"));

  Model* warm = model_calibrate(base, x.data(), 300 * shortest, 2, options, &error);
  ModelInfo info;
  model_info(warm, &info);
  CHECK(info.channels == 2 && info.outputs == 2 * frame_features && info.frame_samples == shortest && info.patch == 8 * shortest);
  CHECK(info.period_s == period && info.reference_samples == 300 * shortest && info.min_reference == 256 * shortest);
  CHECK(stream_open(warm, 2 * frame_features, {}, &error) == nullptr && refused(error, Status::argument, "expected 2 channels"));
  for (const float wrong : {period * 1.02f, period * 0.98f, 1.0f}) {
    CalibrateOptions rate;
    rate.period_s = wrong;
    CHECK(stream_open(warm, 2, rate, &error) == nullptr && refused(error, Status::argument, "rate"));
  }
  CalibrateOptions near;
  near.period_s = period * 1.005f;
  Stream* stream = stream_open(warm, 2, near, &error);
  CHECK(stream != nullptr && stream_cold_samples(stream) == 0);
  Scores out;
  float score[8 * shortest];
  out.score = score;
  out.capacity = 8 * shortest - 1;
  CHECK(!stream_update(stream, x.data(), 8 * shortest, &out, &error) && refused(error, Status::argument, "room for 128"));
  CHECK(stream_update(stream, x.data(), 8 * shortest - 1, &out, &error) && out.written == 0);
  stream_close(stream);
  float frame[frame_features];
  for (const std::size_t bad : {0u, 1u, 15u, 8193u}) CHECK(!make_frames(nullptr, x.data(), 20, 1, bad, frame, &error) && refused(error, Status::argument, "frames"));
  CHECK(!make_frames(nullptr, nullptr, 20, 1, 16, frame, &error) && refused(error, Status::argument, "null"));
  model_close(warm);
  model_close(base);
}

std::string saved(const Model* model) {
  char name[] = P_tmpdir "/sanderling-frames-XXXXXX";
  const int handle = mkstemp(name);
  CHECK(handle >= 0 && close(handle) == 0);
  Error error;
  CHECK(model_save(model, name, &error));
  std::string bytes;
  std::FILE* file = std::fopen(name, "rb");
  char buffer[4096];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) bytes.append(buffer, n);
  std::fclose(file);
  unlink(name);
  return bytes;
}

Model* reopened(const std::string& bytes, Error* error) {
  return model_parse(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), nullptr, error);
}

void files() {
  Error error;
  Model* base = parse(random_model(Shape(), 11).finish());
  const std::vector<float> x = recording(300 * odd, 1, 4, true);
  Model* warm = model_calibrate(base, x.data(), 300 * odd, 1, framed(odd), &error);
  const std::string whole = saved(warm);
  const Result expected = run(warm, x, 1, {777}, {});
  Model* opened = reopened(whole, &error);
  if (CHECK(opened != nullptr)) {
    CHECK(run(opened, x, 1, {777}, {}) == expected && saved(opened) == whole);
    // Again on another recording: the frames stay unless told otherwise; without them their keys go.
    Model* again = model_calibrate(opened, x.data(), 300 * odd, 1, {}, &error);
    CHECK(saved(again) == whole);
    model_close(again);
    CalibrateOptions none;
    none.frame_ms = 0.0f;
    Model* plain = model_calibrate(opened, x.data(), 300 * odd, 1, none, &error);
    CHECK(saved(plain).find("sanderling.frame.") == std::string::npos && whole.find("sanderling.frame.samples") != std::string::npos);
    model_close(plain);
  }
  model_close(opened);
  model_close(warm);
  model_close(base);

  // An uncalibrated file with frames: its cold streams have them, and it saves to itself.
  ModelBytes framed_file = random_model(Shape(), 11);
  framed_file.keys.push_back(key_u32("sanderling.frame.samples", odd));
  framed_file.keys.push_back(key_f32("sanderling.frame.period_s", period));
  framed_file.keys.push_back(key_u32("sanderling.frame.levels", frame_levels));
  const Bytes bytes = framed_file.finish();
  Model* file = parse(bytes);
  const std::vector<float> y = recording(540 * odd, 1, 4, false);
  Model* bare = parse(random_model(Shape(), 11).finish());
  CHECK(run(file, y, 1, {y.size()}, {}) == run(bare, y, 1, {y.size()}, framed(odd)));
  CHECK(saved(file) == std::string(bytes.begin(), bytes.end()));
  model_close(bare);
  model_close(file);
}

std::size_t find(const std::string& bytes, const char* name) {
  const std::size_t at = bytes.find(name);
  CHECK(at != std::string::npos);
  return at + std::strlen(name);
}

void attacks() {
  Error error;
  Model* base = parse(random_model(Shape(), 5).finish());
  const std::vector<float> x = recording(256 * shortest, 2, 6, false);
  Model* warm = model_calibrate(base, x.data(), 256 * shortest, 2, framed(shortest), &error);
  const std::string whole = saved(warm);
  model_close(warm);
  model_close(base);
  const auto refuses = [&](const std::string& bytes, const char* what) {
    Model* model = reopened(bytes, &error);
    if (!CHECK(model == nullptr && error.status == Status::model_format)) std::fprintf(stderr, "  opened with %s\n", what);
    model_close(model);
  };
  const auto refuses_value = [&](const char* key, std::uint32_t value) {
    std::string bytes = whole;
    std::memcpy(&bytes[find(bytes, key) + 4], &value, sizeof value);
    refuses(bytes, key);
  };
  const auto bits = [](float v) {
    std::uint32_t b;
    std::memcpy(&b, &v, sizeof b);
    return b;
  };
  for (const std::uint32_t bad : {0u, 1u, 15u, 17u, 8193u, 0x80000000u, 0xffffffffu}) refuses_value("sanderling.frame.samples", bad);
  for (const float bad : {0.0f, -0.0f, -period, quiet_nan, inf, -inf, 1e-40f, 1e7f, 2 * period}) refuses_value("sanderling.frame.period_s", bits(bad));
  for (const std::uint32_t bad : {0u, 4u, 6u, 0xffffffffu}) refuses_value("sanderling.frame.levels", bad);
  for (const float bad : {0.0f, quiet_nan, period, 1.0f}) refuses_value("sanderling.cal.period_s", bits(bad));
  for (const std::uint32_t bad : {0u, 2u, 7u, 13u, 15u, 21u}) refuses_value("sanderling.cal.channels", bad);
  // Another type, another name (so one is missing), a key of no schema.
  for (const char* key : {"sanderling.frame.samples", "sanderling.frame.period_s", "sanderling.frame.levels"}) {
    std::string bytes = whole;
    bytes[find(bytes, key)] = 5;   // i32
    refuses(bytes, key);
    bytes = whole;
    bytes[find(bytes, key) - 1] = 'X';
    refuses(bytes, key);
  }
  for (int present = 1; present < 7; ++present) {   // some of the three keys without the others
    ModelBytes file = random_model(Shape(), 5);
    if (present & 1) file.keys.push_back(key_u32("sanderling.frame.samples", 480));
    if (present & 2) file.keys.push_back(key_f32("sanderling.frame.period_s", period));
    if (present & 4) file.keys.push_back(key_u32("sanderling.frame.levels", frame_levels));
    const Bytes bytes = file.finish();
    refuses(std::string(bytes.begin(), bytes.end()), "a part of the keys");
  }
  // The longest frame a file may ask for still streams.
  ModelBytes longest = random_model(Shape(), 5);
  longest.keys.push_back(key_u32("sanderling.frame.samples", max_frame));
  longest.keys.push_back(key_f32("sanderling.frame.period_s", max_frame_period));
  longest.keys.push_back(key_u32("sanderling.frame.levels", frame_levels));
  Model* model = parse(longest.finish());
  CHECK(run(model, recording(max_frame + 3, 1, 1, false), 1, {1000}, {}).score.size() == max_frame + 3);
  model_close(model);
}

}  // namespace

int main() {
  choices();
  requests();
  files();
  attacks();
  return check::report("any");
}
