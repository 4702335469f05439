// Hashes that must be the same on every instruction set: `--hash` prints them, otherwise they are compared.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "check.h"
#include "kernels/kernels.h"

namespace hashes {

struct Pinned {
  std::uint64_t (*on)(const char* isa);
  std::uint64_t expected;
};

// visit(isa) on every instruction set that this processor supports.
template <typename Visit>
void on_every_isa(Visit visit) {
  std::size_t count = 0;
  const sanderling::KernelTable* const* tables = sanderling::kernel_tables(&count);
  for (std::size_t i = 0; i < count; ++i)
    if (tables[i]->supported()) visit(tables[i]->isa);
}

inline bool asked(int argc, char** argv) { return argc > 1 && std::strcmp(argv[1], "--hash") == 0; }

// A line an instruction set; returns main's exit code.
inline int print(std::initializer_list<Pinned> all) {
  on_every_isa([&](const char* isa) {
    std::printf("%s", isa);
    for (const Pinned& one : all) std::printf(" %016llx", static_cast<unsigned long long>(one.on(isa)));
    std::printf("\n");
  });
  return check::failed != 0;
}

// Checks and reports an instruction set at a time; returns main's exit code.
inline int compare(std::initializer_list<Pinned> all) {
  int status = 0;
  on_every_isa([&](const char* isa) {
    for (const Pinned& one : all) {
      const std::uint64_t hash = one.on(isa);
      CHECK(hash == one.expected, "%s: found 0x%016llxu", isa, static_cast<unsigned long long>(hash));
    }
    status |= check::report(isa);
  });
  return status;
}

}  // namespace hashes
