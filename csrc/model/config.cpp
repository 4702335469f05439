#include "config_reader.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <iterator>

namespace sanderling {
namespace {

constexpr std::uint32_t any = 0xffffffffu;

struct U32Key {
  const char* name;
  std::uint32_t Config::*field;
  std::uint32_t least, most, multiple;
};

// A constant of schema 1 has least == most. The upper bounds keep every product of two of them far below 2^64.
constexpr U32Key u32_keys[] = {
    {"patch", &Config::patch, patch_samples, patch_samples, 1},
    {"levels", &Config::levels, 1, max_levels, 1},
    {"window", &Config::window, 1, 64, 1},
    {"d_model", &Config::d_model, 16, 2048, 16},
    {"head_dim", &Config::head_dim, head_dim, head_dim, 1},
    {"graph_heads", &Config::graph_heads, 1, 64, 1},
    {"metric_heads", &Config::metric_heads, metric_heads, metric_heads, 1},
    {"scorer_hidden", &Config::scorer_hidden, 16, 4096, 16},
    {"raw_window", &Config::raw_window, raw_window, raw_window, 1},
    {"smooth", &Config::smooth, 1, max_smooth, 1},
    {"top_k", &Config::top_k, 1, any, 1},
    {"max_gap", &Config::max_gap, 0, any - 1, 1},
    {"cold_samples", &Config::cold_samples, min_reference, 65536, patch_samples},
    {"memory_tokens", &Config::memory_tokens, 1, 65536, 1},
    {"memory_budget", &Config::memory_budget, 1, 1u << 24, 1},
    {"raw_rows", &Config::raw_rows, 1, 65536, 1},
    {"raw_budget", &Config::raw_budget, 1, 1u << 24, 1},
    {"loo_block", &Config::loo_block, 1, 65536, 1},
    {"probe_every", &Config::probe_every, 1, 65536, 1},
};

struct F32Key {
  const char* name;
  float Config::*field;
  float least, most;
};

constexpr F32Key f32_keys[] = {
    {"clip", &Config::clip, 1.0f, 1e4f},
    {"metric_tau", &Config::metric_tau, 1e-4f, 1e4f},
    {"raw_tau", &Config::raw_tau, 1e-4f, 1e4f},
    {"skip_level", &Config::skip_level, 1e-4f, 1e4f},
};

constexpr LayerKey heads_key = {"n_heads", 1, 64, 1}, ffn_key = {"ffn", 16, 8192, 16};

// Free text; all but the variant may be absent.
constexpr const char* text_keys[] = {"variant", "lineage.base_sha256", "lineage.plan", "lineage.data"};

constexpr const char* frame_keys[n_frame_keys] = {"frame.samples", "frame.period_s", "frame.levels"};

constexpr const char* calibration_keys[n_calibration_keys] = {"cal.channels",     "cal.scaling",  "cal.samples",
                                                              "cal.false_alarms", "cal.period_s", "cal.threshold"};

bool known(const char* name) {
  const auto is = [name](const char* other) { return std::strcmp(name, other) == 0; };
  return is("version") || std::any_of(std::begin(u32_keys), std::end(u32_keys), [&](const U32Key& k) { return is(k.name); }) ||
         std::any_of(std::begin(f32_keys), std::end(f32_keys), [&](const F32Key& k) { return is(k.name); }) || is(heads_key.name) ||
         is(ffn_key.name) || std::any_of(std::begin(text_keys), std::end(text_keys), is) ||
         std::any_of(std::begin(frame_keys), std::end(frame_keys), is) ||
         std::any_of(std::begin(calibration_keys), std::end(calibration_keys), is);
}

bool has_keys(const GgufFile& file, const char* start) {
  return std::any_of(file.keys, file.keys + file.n_keys, [=](const GgufKey& key) { return std::strncmp(key.name, start, std::strlen(start)) == 0; });
}

bool read_frame(KeyReader* reader, FrameConfig* frame) {
  std::uint32_t levels = 0;
  return reader->u32("frame.samples", &frame->samples) && reader->in_range("frame.samples", frame->samples, min_frame, max_frame, 1) &&
         reader->f32("frame.period_s", min_frame_period, max_frame_period, &frame->period_s) && reader->u32("frame.levels", &levels) &&
         reader->in_range("frame.levels", levels, frame_levels, frame_levels, 1);
}

bool frames_fit(const FrameConfig& frame, const CalibrationKeys& cal, Error* error) {
  if (!frame.on()) return true;
  if (cal.channels % frame_features != 0)
    return fail(error, Status::model_format, "expected sanderling.cal.channels in multiples of %zu (frames), found %u; calibrate again",
                frame_features, cal.channels);
  return cal.period_s == frame.model_period() ||
         fail(error, Status::model_format, "expected sanderling.cal.period_s %g (a frame), found %g; calibrate again",
              static_cast<double>(frame.model_period()), static_cast<double>(cal.period_s));
}

bool read_calibration(KeyReader* reader, CalibrationKeys* cal, Error* error) {
  char scaling[64];
  if (!reader->u32("cal.channels", &cal->channels) || !reader->in_range("cal.channels", cal->channels, 1, max_channels, 1) ||
      !reader->text("cal.scaling", scaling) || !reader->u32("cal.samples", &cal->samples) ||
      !reader->in_range("cal.samples", cal->samples, min_reference, 0x7fffffffu, 1) ||
      !reader->f32("cal.false_alarms", 0.0f, 3e38f, &cal->false_alarms) || !reader->f32("cal.period_s", 0.0f, 3e38f, &cal->period_s) ||
      !reader->f32("cal.threshold", 0.0f, 3e38f, &cal->threshold))
    return false;
  cal->standard_scaling = std::strcmp(scaling, "standard") == 0;
  if (!cal->standard_scaling && std::strcmp(scaling, "robust") != 0)
    return fail(error, Status::model_format, "expected sanderling.cal.scaling robust or standard, found %s; calibrate again", scaling);
  return valid_request(cal->false_alarms, cal->period_s) ||
         fail(error, Status::model_format, "expected sanderling.cal.false_alarms > 0, found %g; calibrate again",
              static_cast<double>(cal->false_alarms));
}

}  // namespace

MemoryShape Config::memory_shape(std::size_t tokens, std::size_t channels) const {
  const auto rows = [channels](std::size_t most, std::size_t budget, std::size_t there) {
    return std::min(there, std::max<std::size_t>(64, std::min(most, budget / channels)));
  };
  return {rows(memory_tokens, memory_budget, tokens), rows(raw_rows, raw_budget, tokens * patch_samples - (raw_window - 1))};
}

bool valid_request(float false_alarms, float period_s) {
  return std::isfinite(false_alarms) && false_alarms > 0.0f && std::isfinite(period_s) && period_s >= 0.0f;
}

bool read_config(const GgufFile& file, Config* config, CalibrationKeys* calibration, Error* error) {
  KeyReader reader(file, error);
  if (!reader.container()) return false;
  config->version = schema_version;
  if (has_keys(file, text_prefix))
    return fail(error, Status::model_format, "expected a model of signals, found a text encoder; open it as text (TextEncoder, sanderling-run text)");
  if (!reader.no_unknown_keys(known)) return false;

  for (const U32Key& key : u32_keys)
    if (!reader.u32(key.name, &(config->*key.field)) ||
        !reader.in_range(key.name, config->*key.field, key.least, key.most, key.multiple))
      return false;
  for (const F32Key& key : f32_keys)
    if (!reader.f32(key.name, key.least, key.most, &(config->*key.field))) return false;
  std::uint64_t heads = 0, widths = 0;
  if (!reader.layers(heads_key, config->n_heads, &heads) || !reader.layers(ffn_key, config->ffn, &widths)) return false;
  if (heads != widths)
    return fail(error, Status::model_format, "expected as many sanderling.ffn as sanderling.n_heads (%llu), found %llu; export it again",
                static_cast<unsigned long long>(heads), static_cast<unsigned long long>(widths));
  config->n_layers = static_cast<std::uint32_t>(heads);
  if (!reader.text("variant", config->variant)) return false;
  for (const char* name : text_keys) {
    char full[64];
    std::snprintf(full, sizeof full, "%s%s", prefix, name);
    if (file.find_key(full) != nullptr && reader.find(name, GgufType::string, "a string") == nullptr) return false;
  }

  config->frame = FrameConfig{};
  if (has_keys(file, frame_prefix) && !read_frame(&reader, &config->frame)) return false;
  *calibration = CalibrationKeys{};
  if (!has_keys(file, calibration_prefix)) return true;
  return read_calibration(&reader, calibration, error) && frames_fit(config->frame, *calibration, error);
}

}  // namespace sanderling
