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
constexpr std::size_t n_components = 8;
constexpr std::size_t head_width = 2 * patch_samples + 1;  // reconstruction, next patch, log b
constexpr std::uint32_t max_layers = 32;
constexpr std::uint32_t max_levels = 8;
constexpr std::uint32_t max_smooth = 64;
constexpr std::uint32_t max_channels = 1024;
constexpr std::uint32_t min_reference = 256;  // samples

struct Config {
  char variant[64];
  std::uint32_t version, patch, levels, window, d_model, head_dim, metric_heads, graph_heads, scorer_hidden, raw_window, smooth,
      top_k, max_gap, cold_samples, memory_tokens, memory_budget, loo_block;
  float clip, metric_tau, raw_tau;
  std::uint32_t n_layers;
  std::uint32_t n_heads[max_layers], ffn[max_layers];

  std::size_t feature_width() const { return patch_samples * (levels + 3); }
  // Rows of the reference memory for a reference of `tokens` patches (docs/model.md section 8).
  std::size_t memory_rows(std::size_t tokens, std::size_t channels) const;
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

bool read_config(const GgufFile& file, Config* config, CalibrationKeys* calibration, Error* error);

// What a request for calibration must satisfy, in a file or from a caller: finite, false_alarms > 0, period_s >= 0.
bool valid_request(float false_alarms, float period_s);

}  // namespace sanderling
