// The machine that a benchmark ran on, and memory as large as each of its caches.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace sanderling::bench {

constexpr std::size_t n_levels = 3;
constexpr const char* level_names[n_levels] = {"l1", "l2", "dram"};

class Memory {
 public:
  Memory();
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // What a loop over the level reads: half of L1, half of L2; 8 MiB of memory that no cache holds any more.
  std::uint8_t* take(std::size_t level);
  std::size_t bytes(std::size_t level) const { return bytes_[level]; }
  std::size_t l2() const { return 2 * bytes_[1]; }

 private:
  std::uint8_t* data_;
  std::size_t total_;  // twice the last cache, 64 MiB to 1 GiB
  std::size_t at_ = 0;
  std::size_t bytes_[n_levels];
};

// The members of the JSON object `machine`, without braces.
void write_machine(std::FILE* out);

}  // namespace sanderling::bench
