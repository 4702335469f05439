// Aligned blocks and an arena whose size is measured by the code that fills it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "checked.h"

namespace sanderling {

// Zeroed, 64-byte aligned; nullptr when the system has no more or `bytes` is absurd.
void* block_alloc(std::uint64_t bytes);
void block_free(void* block);

// place(arena) functions take their arrays in one fixed order and run twice: over a measuring arena (no base; every take returns
// nullptr and only counts), then over a block of the measured size. One order, so the two cannot disagree.
class Arena {
 public:
  Arena() = default;
  explicit Arena(void* base) : base_(static_cast<std::uint8_t*>(base)) {}

  template <typename T>
  T* take(std::uint64_t n) {
    std::uint64_t bytes = 0, end = 0;
    ok_ = ok_ && checked_mul(n, sizeof(T), &bytes) && checked_add(used_, bytes, &end) && checked_align(end, 64, &end);
    if (!ok_) return nullptr;
    std::uint8_t* p = base_ == nullptr ? nullptr : base_ + used_;
    used_ = end;
    return reinterpret_cast<T*>(p);
  }

  bool ok() const { return ok_; }
  std::uint64_t used() const { return used_; }

 private:
  std::uint8_t* base_ = nullptr;
  std::uint64_t used_ = 0;
  bool ok_ = true;
};

// Measures place(arena), allocates, places. Returns the block (to be freed by block_free) or nullptr.
template <typename Place>
void* place_block(Place place) {
  Arena measure;
  place(measure);
  if (!measure.ok()) return nullptr;
  void* block = block_alloc(measure.used());
  if (block == nullptr) return nullptr;
  Arena real(block);
  place(real);
  return block;
}

}  // namespace sanderling
