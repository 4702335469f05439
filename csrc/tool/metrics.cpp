#include "tool/metrics.h"


#include <cmath>
#include <cstdio>

#include "tool/system.h"

namespace sanderling::tool {
namespace {

// python/sanderling/live/metrics.py has the same names.
constexpr struct {
  const char *name, *type, *help;
} kMetrics[] = {
    {"sanderling_samples_total", "counter", "Samples scored"},
    {"sanderling_alarms_total", "counter", "Alarms begun"},
    {"sanderling_alarm", "gauge", "1 while the score is above the threshold"},
    {"sanderling_score", "gauge", "The last score"},
    {"sanderling_threshold", "gauge", "A score above it is an alarm"},
    {"sanderling_bad_lines_total", "counter", "Lines that could not be read as samples"},
    {"sanderling_missing_samples_total", "counter", "Samples with a value missing"},
    {"sanderling_connected", "gauge", "1 while the input is open"},
    {"sanderling_stalled", "gauge", "1 while no sample comes"},
    {"sanderling_connections_total", "counter", "Times that the input was opened"},
    {"sanderling_stalls_total", "counter", "Times that samples stopped coming"},
    {"sanderling_spool_pending", "gauge", "Alarms that wait to be delivered"},
    {"sanderling_spool_lost_total", "counter", "Alarms that a full spool or disk has cost"},
    {"sanderling_delivered_total", "counter", "Alarms delivered"},
    {"sanderling_delivery_failures_total", "counter", "Deliveries that failed and are tried again"},
};
constexpr std::size_t kCount = sizeof kMetrics / sizeof *kMetrics;

}  // namespace

bool write_metrics_file(const std::string& path, const double* figures, std::size_t n, Error* error) {
  std::string text;
  for (std::size_t i = 0; i < n && i < kCount; ++i) {
    char value[32] = "NaN";
    if (std::isfinite(figures[i])) std::snprintf(value, sizeof value, "%.17g", figures[i]);
    const std::string name = kMetrics[i].name;
    text += "# HELP " + name + " " + kMetrics[i].help + "\n# TYPE " + name + " " + kMetrics[i].type + "\n" + name + " " + value + "\n";
  }
  const std::string temporary = path + ".new";
  Output file;
  if (!file.create(temporary, error)) return false;
  file.add(text);
  if (!file.close(error)) return false;
  if (::rename(temporary.c_str(), path.c_str()) == 0) return true;
  return system_error(error, Status::io, "to replace it", path), false;
}

}  // namespace sanderling::tool
