// The runner's figures for the textfile collector of Prometheus' node exporter.
#pragma once
#include <cstddef>
#include <string>

#include "model/engine.h"

namespace sanderling::tool {

// Replaces `path` in one step; figures in the order of metrics.cpp's table, NaN for what isn't known.
bool write_metrics_file(const std::string& path, const double* figures, std::size_t n, Error* error);

}  // namespace sanderling::tool
