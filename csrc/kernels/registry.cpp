// ISA x op, best first. Adding a tier = one row of KERNELS, one `supported`, one table entry and the files; adding an op = one
// column everywhere.
#include "kernels/kernels.h"

#include <cstring>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace sanderling {

#define FLOAT_OPS(isa)                     \
  gelu_fn gelu_##isa;                      \
  layer_norm_fn layer_norm_##isa;          \
  quantize_rows_fn quantize_rows_##isa;    \
  linear_f32_fn linear_f32_##isa;          \
  atrous_fn atrous_##isa;                  \
  softmin_fn softmin_##isa;
#define INT8_OPS(isa)                      \
  qgemm_size_fn qgemm_size_##isa;          \
  qgemm_pack_fn qgemm_pack_##isa;          \
  qgemm_run_fn qgemm_run_##isa;            \
  attention_fn attention_##isa;

// A row of the table: float ops and INT8 ops may come from different tiers.
#define TABLE(name, supported, f, i)                                                                                  \
  {                                                                                                                   \
    name, supported, gelu_##f, layer_norm_##f, quantize_rows_##f, linear_f32_##f, atrous_##f, qgemm_size_##i,         \
        qgemm_pack_##i, qgemm_run_##i, attention_##i, softmin_##f                                                     \
  }

FLOAT_OPS(reference) INT8_OPS(reference)
#if defined(__x86_64__)
FLOAT_OPS(avx2) INT8_OPS(avx2)
#elif defined(__aarch64__)
FLOAT_OPS(neon) INT8_OPS(neon)
INT8_OPS(neon_dotprod)
#endif

namespace {

bool always() { return true; }

#if defined(__x86_64__)
bool has_avx2() {
  __builtin_cpu_init();
  // The builtin includes the operating system's share (XGETBV).
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#elif defined(__aarch64__)
bool has_dotprod() {
#if defined(__linux__)
  constexpr unsigned long asimddp = 1ul << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & asimddp) != 0;
#else
  return false;
#endif
}
#endif

constexpr KernelTable tables[] = {
#if defined(__x86_64__)
    TABLE("avx2", has_avx2, avx2, avx2),
#elif defined(__aarch64__)
    TABLE("neon_dotprod", has_dotprod, neon, neon_dotprod),
    TABLE("neon", always, neon, neon),
#endif
    TABLE("reference", always, reference, reference),
};
constexpr std::size_t n_tables = sizeof tables / sizeof tables[0];

struct Pointers {
  const KernelTable* at[n_tables];
  constexpr Pointers() : at() {
    for (std::size_t i = 0; i < n_tables; ++i) at[i] = &tables[i];
  }
};
constexpr Pointers pointers;

}  // namespace

const KernelTable* const* kernel_tables(std::size_t* count) {
  *count = n_tables;
  return pointers.at;
}

const KernelTable* select_kernels(const char* isa, const char** why) {
  const bool best = isa == nullptr || *isa == '\0';
  const char* reason = "unknown";
  for (const KernelTable& table : tables) {
    if (!best && std::strcmp(isa, table.isa) != 0) continue;
    if (table.supported()) return &table;
    reason = "unsupported";
  }
  if (why) *why = reason;
  return nullptr;
}

}  // namespace sanderling
