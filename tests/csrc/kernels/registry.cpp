#include <cstring>
#include <initializer_list>

#include "check.h"
#include "tests.h"

void test_registry() {
  std::size_t count = 0;
  const sanderling::KernelTable* const* tables = sanderling::kernel_tables(&count);
  CHECK(count >= 1 && std::strcmp(tables[count - 1]->isa, "reference") == 0, "the last table must be reference");
  CHECK(tables[count - 1]->supported(), "reference runs everywhere");

  const sanderling::KernelTable* best = nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    const sanderling::KernelTable& t = *tables[i];
    const char* why = nullptr;
    const sanderling::KernelTable* chosen = sanderling::select_kernels(t.isa, &why);
    if (t.supported()) {
      if (!best) best = &t;
      CHECK(chosen == &t, "%s must be selectable by name", t.isa);
    } else {
      CHECK(chosen == nullptr && why && std::strcmp(why, "unsupported") == 0, "%s must be refused", t.isa);
    }
    CHECK(t.gelu && t.layer_norm && t.quantize_rows && t.linear_f32 && t.atrous && t.moments && t.dwt && t.idwt &&
              t.softmin && t.qgemm_size && t.qgemm_pack && t.qgemm_run && t.attention && t.norm_quantize &&
              t.gelu_quantize && t.quantize_heads,
          "%s has a hole", t.isa);
  }
  CHECK(sanderling::select_kernels(nullptr, nullptr) == best, "nullptr means the best");
  CHECK(sanderling::select_kernels("", nullptr) == best, "\"\" means the best");
  for (const char* name : {"sse9", "AVX2", "neon ", "ref"}) {
    const char* why = nullptr;
    CHECK(sanderling::select_kernels(name, &why) == nullptr && why && std::strcmp(why, "unknown") == 0, "%s", name);
    CHECK(sanderling::select_kernels(name, nullptr) == nullptr, "%s without a place for the reason", name);
  }
}
