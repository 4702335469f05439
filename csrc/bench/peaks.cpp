#include "bench/peaks.h"

namespace sanderling::bench {

#if defined(__x86_64__)
peak_fn peak_int8_amx, peak_int8_avx512vnni, peak_fp32_avx512vnni, peak_int8_avxvnni, peak_int8_avx2, peak_fp32_avx2;
read_fn read_avx512vnni, read_avx2;
copy_fn copy_avx512vnni, copy_avx2;
#elif defined(__aarch64__)
peak_fn peak_int8_neon_dotprod, peak_int8_neon, peak_fp32_neon;
read_fn read_neon;
copy_fn copy_neon;
#endif

namespace {

constexpr Peak table[] = {
#if defined(__x86_64__)
#if !defined(SANDERLING_NO_AMX)
    {"amx", peak_int8_amx, peak_fp32_avx512vnni, read_avx512vnni, copy_avx512vnni},
#endif
    {"avx512vnni", peak_int8_avx512vnni, peak_fp32_avx512vnni, read_avx512vnni, copy_avx512vnni},
#if !defined(SANDERLING_NO_AVXVNNI)
    {"avxvnni", peak_int8_avxvnni, peak_fp32_avx2, read_avx2, copy_avx2},
#endif
    {"avx2", peak_int8_avx2, peak_fp32_avx2, read_avx2, copy_avx2},
#elif defined(__aarch64__)
    {"neon_dotprod", peak_int8_neon_dotprod, peak_fp32_neon, read_neon, copy_neon},
    {"neon", peak_int8_neon, peak_fp32_neon, read_neon, copy_neon},
#endif
};

}  // namespace

const Peak* peaks(std::size_t* count) {
  *count = sizeof table / sizeof table[0];
  return table;
}

}  // namespace sanderling::bench
