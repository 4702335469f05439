// The INT8 products that the engine does for a model file.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "core/error.h"

namespace sanderling::bench {

struct Shape {
  std::string name;   // as in the file, without the block's number; memory.*: the reference memory of as many tokens as it keeps
  std::size_t N, K, times;  // times: how often a patch of one channel needs it
  std::size_t rows = 0;     // that the engine multiplies at once at most; 0: all
};

bool read_shapes(const char* path, std::vector<Shape>* shapes, Error* error);

}  // namespace sanderling::bench
