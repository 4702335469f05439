// The keys of a native file (docs/format.md), typed and checked.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../core/gguf.h"

namespace sanderling {

constexpr std::size_t patch_samples = 8;
constexpr std::size_t head_dim = 32;
constexpr std::size_t metric_heads = 2;
constexpr std::size_t raw_window = 64;
// The raw windows that end with a patch: the long one knows shapes, the short one is over an anomaly as soon as it is over.
constexpr std::size_t n_raw = 2;
constexpr std::size_t raw_samples[n_raw] = {raw_window, 16};
constexpr std::size_t n_components = 8;
constexpr std::size_t head_width = 2 * patch_samples + 1;  // reconstruction, next patch, log b
constexpr std::uint32_t max_layers = 32;
constexpr std::uint32_t max_levels = 8;
constexpr std::uint32_t max_smooth = 64;
constexpr std::uint32_t max_channels = 1024;
constexpr std::uint32_t min_reference = 256;  // samples
constexpr std::size_t frame_levels = 5;
constexpr std::size_t frame_features = frame_levels + 2;  // a raw channel: level RMS, smooth RMS, kurtosis
constexpr std::uint32_t min_frame = 16, max_frame = 8192; // raw samples
constexpr float min_frame_period = 1e-9f, max_frame_period = 1e6f;  // seconds a raw sample

// Frames of raw samples (docs/frames.md); samples == 0: the model sees the samples themselves.
struct FrameConfig {
  std::uint32_t samples;  // raw samples a frame
  float period_s;         // seconds a raw sample

  bool on() const { return samples != 0; }
  std::size_t raw_samples(std::size_t model_samples) const { return on() ? model_samples * samples : model_samples; }
  std::size_t model_channels(std::size_t raw_channels) const { return on() ? raw_channels * frame_features : raw_channels; }
  std::size_t raw_channels(std::size_t model_channels) const { return on() ? model_channels / frame_features : model_channels; }
  // Seconds a frame: what cal.period_s says in a file with frames.
  float model_period() const { return static_cast<float>(samples) * period_s; }
};

// Rows of a reference memory: metric embeddings at patch ends, raw windows at any sample.
struct MemoryShape {
  std::size_t metric, raw;
};

struct Config {
  char variant[64];
  std::uint32_t version, patch, levels, window, d_model, head_dim, metric_heads, graph_heads, scorer_hidden, raw_window, smooth,
      top_k, max_gap, cold_samples, memory_tokens, memory_budget, raw_rows, raw_budget, loo_block,
      probe_every;       // of dynamic mode: at most one token less is skipped in a row
  float clip, metric_tau, raw_tau;
  float skip_level;      // of dynamic mode: spreads from the center up to which a cheap component is ordinary
  FrameConfig frame;
  std::uint32_t n_layers;
  std::uint32_t n_heads[max_layers], ffn[max_layers];

  std::size_t feature_width() const { return patch_samples * (levels + 3); }
  // The reference memory for a reference of `tokens` patches (docs/model.md section 8).
  MemoryShape memory_shape(std::size_t tokens, std::size_t channels) const;
};

// The calibration keys; channels == 0 when the file has none.
struct CalibrationKeys {
  std::uint32_t channels, samples;
  bool standard_scaling;
  float false_alarms, period_s, threshold;
};

constexpr std::size_t n_calibration_keys = 6;

// Keys that begin so belong to the calibration, as do the tensors that begin with "cal.".
constexpr char calibration_prefix[] = "sanderling.cal.";

// Keys that begin so make a file a text encoder's (text/text_config.h).
constexpr char text_prefix[] = "sanderling.text.";

constexpr std::size_t n_frame_keys = 3;
constexpr char frame_prefix[] = "sanderling.frame.";

bool read_config(const GgufFile& file, Config* config, CalibrationKeys* calibration, Error* error);

// What a request for calibration must satisfy, in a file or from a caller: finite, false_alarms > 0, period_s >= 0.
bool valid_request(float false_alarms, float period_s);

}  // namespace sanderling
