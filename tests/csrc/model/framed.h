// What the tests of frames share: requests for frames, and a run of a framed stream with all its outputs.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "check.h"
#include "model/engine.h"
#include "model/frames.h"
#include "model_bytes.h"

using namespace sanderling;

inline constexpr float quiet_nan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float inf = std::numeric_limits<float>::infinity();
inline constexpr std::size_t shortest = 16;          // samples a frame: the least, below every filter's history
inline constexpr std::size_t odd = 37;               // no multiple of anything
inline constexpr float period = 1e-4f;

inline CalibrateOptions framed(std::size_t samples) {
  CalibrateOptions options;
  options.period_s = period;
  options.frame_ms = static_cast<float>(samples) * period * 1000.0f;
  return options;
}

inline bool refused(const Error& error, Status status, const char* part) {
  return error.status == status && std::strstr(error.message, part) != nullptr && std::strstr(error.message, "expected") != nullptr;
}

inline Model* parse(const Bytes& bytes, const char* isa = nullptr) {
  Error error;
  Model* model = model_parse(bytes.data(), bytes.size(), isa, &error);
  if (!CHECK(model != nullptr)) std::fprintf(stderr, "%s\n", error.message);
  return model;
}

inline bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;   // NaN included
}

struct Result {
  std::vector<float> score, rows, hats, components;
  float threshold = 0.0f;
  bool operator==(const Result& o) const {
    return same(score, o.score) && same(rows, o.rows) && same(hats, o.hats) && same(components, o.components) &&
           std::memcmp(&threshold, &o.threshold, sizeof threshold) == 0;
  }
};

inline Result run(const Model* model, const std::vector<float>& x, std::size_t channels, const std::vector<std::size_t>& chunks,
           const CalibrateOptions& options) {
  Error error;
  Result r;
  Stream* stream = stream_open(model, channels, options, &error);
  if (!CHECK(stream != nullptr)) return std::fprintf(stderr, "%s\n", error.message), r;
  const std::size_t n = x.size() / channels, patch = stream_patch(stream), outputs = stream_outputs(stream);
  CHECK(outputs == channels * frame_features && patch == 8 * stream_frame_samples(stream));
  r.score.resize(n);
  r.rows.resize(n * outputs);
  r.hats.resize(n * outputs);
  r.components.resize((n + patch - 1) / patch * outputs * 8);
  std::size_t done = 0;
  const auto place = [&](std::size_t room) {
    Scores out;
    out.score = r.score.data() + done;
    out.channel_score = r.rows.data() + done * outputs;
    out.reconstruction = r.hats.data() + done * outputs;
    out.components = r.components.data() + done / patch * outputs * 8;
    out.capacity = room;
    return out;
  };
  for (std::size_t at = 0, i = 0; at < n; ++i) {
    const std::size_t size = std::min(chunks[i % chunks.size()], n - at);
    Scores out = place((at + size) / patch * patch - at / patch * patch);   // exactly what completes
    if (!CHECK(stream_update(stream, x.data() + at * channels, size, &out, &error))) break;
    done += out.written;
    at += size;
    CHECK(done == at / patch * patch);
  }
  Scores out = place(n - done);
  CHECK(stream_flush(stream, &out, &error));
  CHECK(done + out.written == n && stream_samples(stream) == n);
  r.threshold = stream_threshold(stream);
  stream_close(stream);
  return r;
}
