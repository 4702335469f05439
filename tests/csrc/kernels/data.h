// Test data that is the same on every machine (integers and single roundings only), guarded buffers and the hash.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "check.h"
#include "kernels/kernels.h"

namespace data {

// splitmix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  // Uniform in (-range, range), 24 bits.
  float uniform(float range) {
    return static_cast<float>(static_cast<std::int32_t>(bits() >> 39) - (1 << 24)) * 0x1p-24f * range;
  }
  std::int32_t integer(std::int32_t lo, std::int32_t hi) {
    return lo + static_cast<std::int32_t>(bits() % static_cast<std::uint64_t>(hi - lo + 1));
  }

 private:
  std::uint64_t state_;
};

inline float from_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

struct Pattern {
  const char* name;
  void (*fill)(Random& random, float* x, std::size_t n);
};

inline constexpr Pattern patterns[] = {
    {"uniform", [](Random& r, float* x, std::size_t n) { for (std::size_t i = 0; i < n; ++i) x[i] = r.uniform(3.0f); }},
    {"clipped at +-20", [](Random& r, float* x, std::size_t n) {
       for (std::size_t i = 0; i < n; ++i) {
         const float v = r.uniform(40.0f);
         x[i] = v > 20.0f ? 20.0f : v < -20.0f ? -20.0f : v;
       }
     }},
    {"ties at .5", [](Random& r, float* x, std::size_t n) {
       const float unit = from_bits(static_cast<std::uint32_t>(r.integer(100, 150)) << 23);
       for (std::size_t i = 0; i < n; ++i) x[i] = (static_cast<float>(r.integer(-127, 126)) + 0.5f) * unit;
       x[r.bits() % n] = 127.0f * unit;
     }},
    {"near ties", [](Random& r, float* x, std::size_t n) {
       const float amax = r.uniform(20.0f);
       for (std::size_t i = 0; i < n; ++i)
         x[i] = amax * (static_cast<float>(r.integer(-127, 126)) + 0.5f) / 127.0f;
       x[r.bits() % n] = amax;
     }},
    {"zeros", [](Random&, float* x, std::size_t n) { for (std::size_t i = 0; i < n; ++i) x[i] = 0.0f; }},
    {"signed zeros", [](Random& r, float* x, std::size_t n) {
       for (std::size_t i = 0; i < n; ++i) x[i] = r.bits() & 1 ? -0.0f : 0.0f;
     }},
    {"denormals", [](Random& r, float* x, std::size_t n) {
       for (std::size_t i = 0; i < n; ++i) x[i] = from_bits(static_cast<std::uint32_t>(r.bits()) & 0x807FFFFFu);
     }},
    {"around the empty bound 2^-100", [](Random& r, float* x, std::size_t n) {
       for (std::size_t i = 0; i < n; ++i) x[i] = r.uniform(0x1p-100f);
       const float edge[] = {0x1p-100f, 0x1.fffffep-101f, -0x1p-100f, 0x1.000002p-100f};
       x[r.bits() % n] = edge[r.bits() % 4];
     }},
    {"huge", [](Random& r, float* x, std::size_t n) { for (std::size_t i = 0; i < n; ++i) x[i] = r.uniform(1e12f); }},
    {"tiny", [](Random& r, float* x, std::size_t n) { for (std::size_t i = 0; i < n; ++i) x[i] = r.uniform(1e-30f); }},
    {"all equal", [](Random& r, float* x, std::size_t n) {
       const float v = r.uniform(20.0f);
       for (std::size_t i = 0; i < n; ++i) x[i] = v;
     }},
    {"one spike", [](Random& r, float* x, std::size_t n) {
       for (std::size_t i = 0; i < n; ++i) x[i] = r.uniform(0.01f);
       x[r.bits() % n] = r.bits() & 1 ? 1e6f : -20.0f;
     }},
    {"all exponents", [](Random& r, float* x, std::size_t n) {
       for (std::size_t i = 0; i < n; ++i) {
         const std::uint64_t b = r.bits();
         const std::uint32_t exponent = static_cast<std::uint32_t>((b >> 32) % 167);  // below 2^40
         x[i] = from_bits((static_cast<std::uint32_t>(b) & 0x807FFFFFu) | exponent << 23);
       }
     }},
};
inline constexpr std::size_t n_patterns = sizeof patterns / sizeof patterns[0];

enum class Bytes { uniform, saturated };

inline void fill(Random& random, std::int8_t* x, std::size_t n, Bytes kind) {
  for (std::size_t i = 0; i < n; ++i)
    x[i] = static_cast<std::int8_t>(kind == Bytes::uniform ? random.integer(-127, 127) : random.bits() & 1 ? 127 : -127);
}

// n values that start one element after an aligned address and end where the allocation ends, so that AddressSanitizer sees
// a read beyond them. Guarded outputs keep canaries on both sides instead.
template <class T>
class Input {
 public:
  explicit Input(std::size_t n) : size_(n), memory_(static_cast<T*>(std::malloc((n + 1) * sizeof(T)))) {}
  ~Input() { std::free(memory_); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  T* get() { return memory_ + 1; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  T* memory_;
};

template <class T>
class Output {
 public:
  explicit Output(std::size_t n) : size_(n), bytes_(2 * guard + (n + 1) * sizeof(T), canary) {}
  T* get() { return reinterpret_cast<T*>(bytes_.data() + guard) + 1; }
  std::size_t size() const { return size_; }
  bool intact() const {
    const std::size_t before = guard + sizeof(T);
    for (std::size_t i = 0; i < before; ++i)
      if (bytes_[i] != canary) return false;
    for (std::size_t i = before + size_ * sizeof(T); i < bytes_.size(); ++i)
      if (bytes_[i] != canary) return false;
    return true;
  }

 private:
  static constexpr std::size_t guard = 64;
  static constexpr unsigned char canary = 0xC5;
  std::size_t size_;
  std::vector<unsigned char> bytes_;
};

// 64-byte aligned, as qgemm's packed weights are.
class Packed {
 public:
  explicit Packed(std::size_t n) : memory_(std::aligned_alloc(64, n == 0 ? 64 : (n + 63) / 64 * 64)) {}
  ~Packed() { std::free(memory_); }
  Packed(const Packed&) = delete;
  Packed& operator=(const Packed&) = delete;
  void* get() { return memory_; }

 private:
  void* memory_;
};

class Hash {
 public:
  template <class T>
  void add(const T* values, std::size_t n) {
    const unsigned char* p = reinterpret_cast<const unsigned char*>(values);
    std::size_t size = n * sizeof(T);
    for (; size > 0; size -= size < 8 ? size : 8, p += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, p, size < 8 ? size : 8);
      state_ = (state_ ^ word) * 0x9E3779B97F4A7C15u;
      state_ ^= state_ >> 32;
    }
  }
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0xCBF29CE484222325u;
};

// Bit for bit; prints the first difference.
template <class T>
void check_same(Output<T>& want, Output<T>& got, const char* what, const char* pattern, std::size_t a, std::size_t b,
                std::size_t c) {
  std::size_t at = 0;
  while (at < want.size() && std::memcmp(want.get() + at, got.get() + at, sizeof(T)) == 0) ++at;
  CHECK(at == want.size(), "%s, %s, sizes %zu %zu %zu: element %zu is %.9g, reference %.9g", what, pattern, a, b, c, at,
        static_cast<double>(at < want.size() ? got.get()[at] : 0), static_cast<double>(at < want.size() ? want.get()[at] : 0));
  if constexpr (sizeof(T) == sizeof(float)) {
    bool finite = true;
    for (std::size_t i = 0; i < got.size(); ++i) finite = finite && got.get()[i] - got.get()[i] == 0.0f;
    CHECK(finite, "%s, %s, sizes %zu %zu %zu: not finite", what, pattern, a, b, c);
  }
  CHECK(want.intact() && got.intact(), "%s, %s, sizes %zu %zu %zu: wrote outside its output", what, pattern, a, b, c);
}

}  // namespace data
