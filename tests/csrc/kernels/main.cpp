// kernel_tests [--list]: every table compiled in that this processor supports, op by op.
#include <cstdio>
#include <cstring>

#include "check.h"
#include "tests.h"

int main(int argc, char** argv) {
  std::size_t count = 0;
  const sanderling::KernelTable* const* tables = sanderling::kernel_tables(&count);
  if (argc > 1 && std::strcmp(argv[1], "--list") == 0) {
    for (std::size_t i = 0; i < count; ++i)
      std::printf("%s %s\n", tables[i]->isa, tables[i]->supported() ? "supported" : "unsupported");
    return 0;
  }
  if (argc > 1) {
    std::printf("expected no argument or --list, found %s\n", argv[1]);
    return 2;
  }
  const sanderling::KernelTable& reference = *tables[count - 1];
  int status = 0;
  test_registry();
  for (std::size_t i = count; i-- > 0;) {
    const sanderling::KernelTable& table = *tables[i];
    if (!table.supported()) {
      std::printf("ISA %s is unsupported here\n", table.isa);
      continue;
    }
    test_float_ops(table, reference);
    test_wavelet_ops(table, reference, i + 1 == count);
    test_int8_ops(table, reference);
    test_accuracy(table);
    test_hashes(table, i + 1 == count);
    status |= check::report(table.isa);
  }
  return status;
}
