// What one core of this machine can do: loops in registers alone, and reads and copies of memory, each in a tier's own
// instructions. csrc/bench/peaks/<isa>.cpp defines peak_<what>_<isa>.
#pragma once
#include <cstddef>

namespace sanderling::bench {

// Runs the loop `rounds` times; returns the multiply-accumulates done. INT8: the instructions of the tier's exact scheme, on
// operands that stay in registers.
using peak_fn = double(std::size_t rounds);
// Reads (copies) `bytes`, a multiple of 1024, from 64-byte aligned memory.
using read_fn = void(const void* from, std::size_t bytes);
using copy_fn = void(const void* from, void* to, std::size_t bytes);

struct Peak {
  const char* isa;  // of KernelTable
  peak_fn *int8, *fp32;
  read_fn* read;
  copy_fn* copy;
};

// The tiers compiled in, best first.
const Peak* peaks(std::size_t* count);

}  // namespace sanderling::bench
