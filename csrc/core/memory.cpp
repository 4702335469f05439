#include "memory.h"

#include <cstdlib>
#include <cstring>

namespace sanderling {

void* block_alloc(std::uint64_t bytes) {
  // A quarter of the address space: what lies above is an error of arithmetic, not a request.
  if (bytes > SIZE_MAX / 4) return nullptr;
  void* block = nullptr;
  if (posix_memalign(&block, 64, bytes == 0 ? 64 : static_cast<std::size_t>(bytes)) != 0) return nullptr;
  std::memset(block, 0, static_cast<std::size_t>(bytes));
  return block;
}

void block_free(void* block) { std::free(block); }

}  // namespace sanderling
