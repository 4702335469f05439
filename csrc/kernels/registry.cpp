// ISA x op, best first. Adding a tier = one row of KERNELS, one `supported`, one table entry and the files; adding an op = one
// column everywhere.
#include "kernels/kernels.h"

#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace sanderling {

#define FLOAT_OPS(isa)                     \
  gelu_fn gelu_##isa;                      \
  layer_norm_fn layer_norm_##isa;          \
  quantize_rows_fn quantize_rows_##isa;    \
  linear_f32_fn linear_f32_##isa;          \
  atrous_fn atrous_##isa;                  \
  moments_fn moments_##isa;                \
  dwt_fn dwt_##isa;                        \
  idwt_fn idwt_##isa;                      \
  softmin_fn softmin_##isa;                \
  norm_quantize_fn norm_quantize_##isa;    \
  gelu_quantize_fn gelu_quantize_##isa;    \
  quantize_heads_fn quantize_heads_##isa;
#define INT8_OPS(isa)                      \
  qgemm_size_fn qgemm_size_##isa;          \
  qgemm_pack_fn qgemm_pack_##isa;          \
  qgemm_run_fn qgemm_run_##isa;            \
  attention_fn attention_##isa;

// A row of the table: float ops f, qgemm q and attention a may come from different tiers.
#define TABLE(name, supported, f, q, a)                                                                               \
  {                                                                                                                   \
    name, supported, gelu_##f, layer_norm_##f, quantize_rows_##f, linear_f32_##f, atrous_##f, moments_##f, dwt_##f,   \
        idwt_##f, qgemm_size_##q, qgemm_pack_##q, qgemm_run_##q, attention_##a, softmin_##f, norm_quantize_##f,       \
        gelu_quantize_##f, quantize_heads_##f                                                                         \
  }

FLOAT_OPS(reference) INT8_OPS(reference)
#if defined(__x86_64__)
FLOAT_OPS(avx2) INT8_OPS(avx2)
INT8_OPS(avxvnni)
FLOAT_OPS(avx512) INT8_OPS(avx512vnni)
INT8_OPS(amx)
#elif defined(__aarch64__)
FLOAT_OPS(neon) INT8_OPS(neon)
INT8_OPS(neon_dotprod)
#endif

namespace {

bool always() { return true; }

#if defined(__x86_64__)
// The registers of CPUID that name instruction sets (leaf, subleaf, register), and the states that the operating system saves.
enum Register { leaf1_ecx, leaf7_ebx, leaf7_ecx, leaf7_edx, leaf7_1_eax, xcr0, n_registers };

struct Processor {
  std::uint32_t bits[n_registers] = {};

  Processor() {
    std::uint32_t a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_count(1, 0, &a, &b, &c, &d)) bits[leaf1_ecx] = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
      bits[leaf7_ebx] = b;
      bits[leaf7_ecx] = c;
      bits[leaf7_edx] = d;
      const std::uint32_t subleaves = a;
      if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) bits[leaf7_1_eax] = a;
    }
    constexpr std::uint32_t osxsave = 1u << 27;
    if (bits[leaf1_ecx] & osxsave) __asm__("xgetbv" : "=a"(bits[xcr0]), "=d"(d) : "c"(0));
  }
};

struct Needed {
  Register in;
  std::uint32_t bits;
};

template <std::size_t n>
bool has(const Needed (&needed)[n]) {
  const Processor processor;
  for (const Needed& one : needed)
    if ((processor.bits[one.in] & one.bits) != one.bits) return false;
  return true;
}

// Each row names every extension that its files' flags let the compiler use.
constexpr std::uint32_t sse_to_avx_fma = 1u << 0 | 1u << 9 | 1u << 12 | 1u << 19 | 1u << 20 | 1u << 23 | 1u << 28;
constexpr std::uint32_t ymm_state = 0x06, zmm_state = 0xE6, tile_state = 0x60000;
constexpr std::uint32_t avx2 = 1u << 5, avx512_f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
constexpr std::uint32_t avx512_vnni = 1u << 11, avx_vnni = 1u << 4, amx_tile_int8 = 1u << 24 | 1u << 25;

bool has_avx2() { return has({{leaf1_ecx, sse_to_avx_fma}, {leaf7_ebx, avx2}, {xcr0, ymm_state}}); }

bool has_avxvnni() { return has_avx2() && has({{leaf7_1_eax, avx_vnni}}); }

bool has_avx512vnni() {
  return has_avx2() && has({{leaf7_ebx, avx512_f_dq_bw_vl}, {leaf7_ecx, avx512_vnni}, {xcr0, zmm_state}});
}

// Linux lends the tile registers to a process that asks: for all its threads, once, and asking again does no harm.
bool tiles_granted() {
#if defined(__linux__)
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

bool has_amx() {
  return has_avx512vnni() && has({{leaf7_edx, amx_tile_int8}, {xcr0, tile_state}}) && tiles_granted();
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
#if !defined(SANDERLING_NO_AMX)
    TABLE("amx", has_amx, avx512, amx, amx),
#endif
    TABLE("avx512vnni", has_avx512vnni, avx512, avx512vnni, avx512vnni),
#if !defined(SANDERLING_NO_AVXVNNI)
    TABLE("avxvnni", has_avxvnni, avx2, avxvnni, avxvnni),
#endif
    TABLE("avx2", has_avx2, avx2, avx2, avx2),
#elif defined(__aarch64__)
    TABLE("neon_dotprod", has_dotprod, neon, neon_dotprod, neon_dotprod),
    TABLE("neon", always, neon, neon, neon),
#endif
    TABLE("reference", always, reference, reference, reference),
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
