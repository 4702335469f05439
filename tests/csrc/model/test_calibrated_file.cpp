// Calibrated files: what is saved opens again with the same scores, saves to the same bytes, and is attacked like any other file.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "model/engine.h"
#include "model_bytes.h"

using namespace sanderling;

namespace {

std::string folder;

Bytes read_file(const std::string& path) {
  Bytes bytes;
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return bytes;
  std::uint8_t buffer[4096];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) bytes.insert(bytes.end(), buffer, buffer + n);
  std::fclose(file);
  return bytes;
}

std::size_t files_in_folder() {
  std::size_t n = 0;
  DIR* dir = opendir(folder.c_str());
  while (const dirent* entry = readdir(dir)) n += entry->d_name[0] != '.' ? 1u : 0u;
  closedir(dir);
  return n;
}

std::vector<float> scores(const Model* model, const std::vector<float>& x, std::size_t channels) {
  Error error;
  std::vector<float> score(x.size() / channels);
  Stream* stream = stream_open(model, channels, {}, &error);
  Scores out;
  out.score = score.data();
  out.capacity = score.size();
  CHECK(stream_update(stream, x.data(), score.size(), &out, &error));
  out.score += out.written;
  out.capacity -= out.written;
  CHECK(stream_flush(stream, &out, &error));
  stream_close(stream);
  return score;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

Shape small() {
  Shape shape;
  shape.d = 16;
  shape.scorer = 16;
  shape.graph_heads = 1;
  shape.heads = {1};
  shape.ffn = {16};
  return shape;
}

void round_trip() {
  Error error;
  const std::string source = folder + "/source.gguf", saved = folder + "/saved.gguf", again = folder + "/again.gguf";
  ModelBytes bytes = random_model(Shape(), 41);
  bytes.keys.push_back(key_string("sanderling.lineage.plan", "heads 2, 1"));
  bytes.keys.push_back(key_string("general.name", "kept"));
  const Bytes original = bytes.finish();
  Model* base = model_parse(original.data(), original.size(), nullptr, &error);
  const std::vector<float> x = recording(1003, 3, 1, true), reference = recording(900, 3, 2, true);
  CalibrateOptions options;
  options.false_alarms = 2.0f;
  options.period_s = 0.5f;
  Model* calibrated = model_calibrate(base, reference.data(), 900, 3, options, &error);
  CHECK(model_save(base, source.c_str(), &error));
  CHECK(read_file(source) == original);
  CHECK(model_save(calibrated, saved.c_str(), &error));
  const std::vector<float> expected = scores(calibrated, x, 3);
  ModelInfo before, after;
  model_info(calibrated, &before);
  model_close(calibrated);
  model_close(base);

  Model* opened = model_open(saved.c_str(), nullptr, &error);
  if (!CHECK(opened != nullptr)) {
    std::fprintf(stderr, "%s\n", error.message);
    return;
  }
  CHECK(same(scores(opened, x, 3), expected));
  model_info(opened, &after);
  CHECK(after.calibrated && after.channels == 3 && after.reference_samples == 900 && std::strcmp(after.scaling, "robust") == 0);
  CHECK(after.threshold == before.threshold && after.threshold > 0.0f && after.false_alarms == 2.0f && after.period_s == 0.5f);
  CHECK(after.weight_bytes == before.weight_bytes && after.weight_bytes > 0);
  CHECK(model_save(opened, again.c_str(), &error));
  CHECK(read_file(again) == read_file(saved));

  // Calibrating a calibrated file replaces the old calibration, other channel counts included; saving over an open file is safe.
  const std::vector<float> wide = recording(640, 5, 3, false);
  options.standard_scaling = true;
  Model* replaced = model_calibrate(opened, wide.data(), 640, 5, options, &error);
  CHECK(model_save(replaced, saved.c_str(), &error));
  Model* fresh = model_parse(original.data(), original.size(), nullptr, &error);
  Model* direct = model_calibrate(fresh, wide.data(), 640, 5, options, &error);
  CHECK(model_save(direct, again.c_str(), &error));
  CHECK(read_file(again) == read_file(saved));
  CHECK(same(scores(opened, x, 3), expected));
  model_close(direct);
  model_close(fresh);
  model_close(replaced);
  model_close(opened);
  CHECK(files_in_folder() == 3);   // no temporary file stays
}

void save_fails() {
  Error error;
  const Bytes bytes = random_model(small(), 1).finish();
  Model* model = model_parse(bytes.data(), bytes.size(), nullptr, &error);
  const std::size_t before = files_in_folder();
  CHECK(!model_save(model, (folder + "/none/x.gguf").c_str(), &error) && error.status == Status::io);
  CHECK(!model_save(model, "", &error) && error.status == Status::argument);
  const std::string taken = folder + "/folder";
  CHECK(mkdir(taken.c_str(), 0700) == 0);
  CHECK(!model_save(model, taken.c_str(), &error) && error.status == Status::io);
  CHECK(rmdir(taken.c_str()) == 0);
  CHECK(files_in_folder() == before);
  model_close(model);
}

Bytes calibrated_bytes() {
  Error error;
  const Bytes bytes = random_model(small(), 5).finish();
  Model* base = model_parse(bytes.data(), bytes.size(), nullptr, &error);
  const std::vector<float> reference = recording(256, 2, 6, false);
  Model* model = model_calibrate(base, reference.data(), 256, 2, {}, &error);
  const std::string path = folder + "/victim.gguf";
  CHECK(model_save(model, path.c_str(), &error));
  model_close(model);
  model_close(base);
  return read_file(path);
}

// Opens the bytes; what still opens must score without a fault.
bool opens(const Bytes& bytes) {
  static const std::vector<float> x = recording(64, 2, 8, true);
  Error error;
  Model* model = model_parse(bytes.data(), bytes.size(), nullptr, &error);
  if (model == nullptr) {
    CHECK(error.status == Status::model_format || error.status == Status::model_version);
    return false;
  }
  ModelInfo info;
  model_info(model, &info);
  if (info.channels == 2) {
    float score[64];
    Scores out;
    out.score = score;
    out.capacity = 64;
    Stream* stream = stream_open(model, 2, {}, &error);
    CHECK(stream_update(stream, x.data(), 64, &out, &error));
    std::size_t wild = 0;
    for (const float s : score) wild += std::isnan(s) || (s >= 0.0f && std::isfinite(s)) ? 0u : 1u;
    CHECK(wild == 0);
    stream_close(stream);
  }
  model_close(model);
  return true;
}

std::size_t find(const Bytes& bytes, const std::string& name) {
  for (std::size_t i = 0; i + name.size() <= bytes.size(); ++i)
    if (std::memcmp(bytes.data() + i, name.data(), name.size()) == 0) return i + name.size();
  CHECK(false);
  return 0;
}

void attacks() {
  const Bytes whole = calibrated_bytes();
  CHECK(opens(whole));
  Bytes bytes = whole;
  const auto expect_refused = [&](const char* key, std::uint32_t value) {
    bytes = whole;
    std::memcpy(bytes.data() + find(bytes, key) + 4, &value, sizeof value);
    if (!CHECK(!opens(bytes))) std::fprintf(stderr, "  %s = %u\n", key, value);
  };
  for (const std::uint32_t channels : {0u, 1u, 3u, 1025u, 0x80000000u, 0xffffffffu}) expect_refused("sanderling.cal.channels", channels);
  for (const std::uint32_t samples : {0u, 255u, 0xffffffffu}) expect_refused("sanderling.cal.samples", samples);
  for (const std::uint32_t bad : {0x7fc00000u, 0x7f800000u, 0xbf800000u}) {   // NaN, infinity, -1
    expect_refused("sanderling.cal.threshold", bad);
    expect_refused("sanderling.cal.false_alarms", bad);
    expect_refused("sanderling.cal.period_s", bad);
  }
  expect_refused("sanderling.cal.false_alarms", 0);
  bytes = whole;
  bytes[find(bytes, "sanderling.cal.scaling") + 12] = 'R';
  CHECK(!opens(bytes));

  // Bits of the calibration's keys, infos and data (the file's last tensors); 29 is prime to every field's size.
  const std::size_t start = find(whole, "sanderling.cal.channels");
  std::size_t refused = 0;
  for (std::size_t i = start; i < whole.size(); i += 29)
    for (int bit = 0; bit < 8; ++bit) {
      bytes = whole;
      bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ (1u << bit));
      refused += opens(bytes) ? 0u : 1u;
    }
  CHECK(refused > 100);
  for (std::size_t n = start; n + 32 < whole.size(); n += 13)
    CHECK(!opens(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n))));
}

}  // namespace

int main() {
  char name[] = P_tmpdir "/sanderling-test-XXXXXX";
  if (mkdtemp(name) == nullptr) return 2;
  folder = name;
  round_trip();
  save_fails();
  attacks();
  for (const char* file : {"/source.gguf", "/saved.gguf", "/again.gguf", "/victim.gguf"}) unlink((folder + file).c_str());
  CHECK(rmdir(folder.c_str()) == 0);
  return check::report("any");
}
