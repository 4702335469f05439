#include "memory.h"

#include <cstdlib>

namespace sanderling {
namespace {

constexpr std::size_t alignment = 64;

}  // namespace

// calloc, so that a large block's pages are the system's zeros until they are written: room for a batch costs a stream nothing.
void* block_alloc(std::uint64_t bytes) {
  // A quarter of the address space: what lies above is an error of arithmetic, not a request.
  if (bytes > SIZE_MAX / 4) return nullptr;
  auto* start = static_cast<std::uint8_t*>(std::calloc(static_cast<std::size_t>(bytes) + alignment, 1));
  if (start == nullptr) return nullptr;
  // calloc aligns to 16 at least: a byte before the block says how far it was moved.
  const std::size_t moved = alignment - reinterpret_cast<std::uintptr_t>(start) % alignment;
  start[moved - 1] = static_cast<std::uint8_t>(moved);
  return start + moved;
}

void block_free(void* block) {
  if (block == nullptr) return;
  auto* start = static_cast<std::uint8_t*>(block);
  std::free(start - start[-1]);
}

}  // namespace sanderling
