// One order for everything that a stream remembers: the same calls measure, save and restore it (stream_state.cpp).
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sanderling {

class StateIo {
 public:
  StateIo() = default;                                                          // measures
  explicit StateIo(std::uint8_t* to) : to_(to) {}                               // saves
  StateIo(const std::uint8_t* from, std::size_t size) : from_(from), size_(size) {}

  // Samples as they came, NaN among them.
  void samples(float* x, std::size_t n) { move(x, n * sizeof *x); }

  void counts(std::uint32_t* x, std::size_t n) { move(x, n * sizeof *x); }

  // Numbers that feed the arithmetic: on the way in finite and within the bounds.
  void floats(float* x, std::size_t n, float least, float most) {
    move(x, n * sizeof *x);
    for (std::size_t i = 0; restores() && i < n; ++i) ok_ = ok_ && x[i] >= least && x[i] <= most;
  }

  // Quantised values: never -128 (kernels.h).
  void integers(std::int8_t* x, std::size_t n) {
    move(x, n);
    for (std::size_t i = 0; restores() && i < n; ++i) ok_ = ok_ && x[i] != -128;
  }

  void flag(bool* x) {
    std::uint8_t value = to_ != nullptr && *x ? 1 : 0;
    move(&value, 1);
    ok_ = ok_ && value <= 1;
    if (restores()) *x = value == 1;
  }

  void move(void* x, std::size_t bytes) {
    if (from_ != nullptr) {
      ok_ = ok_ && bytes <= size_ - used_;
      if (!ok_) return;
      std::memcpy(x, from_ + used_, bytes);
    } else if (to_ != nullptr) {
      std::memcpy(to_ + used_, x, bytes);
    }
    used_ += bytes;
  }

  bool restores() const { return from_ != nullptr && ok_; }
  bool ok() const { return ok_; }
  std::size_t used() const { return used_; }

 private:
  std::uint8_t* to_ = nullptr;
  const std::uint8_t* from_ = nullptr;
  std::size_t size_ = 0, used_ = 0;
  bool ok_ = true;
};

}  // namespace sanderling
