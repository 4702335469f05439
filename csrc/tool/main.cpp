#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tool/system.h"
#include "tool/tool.h"

namespace {

using namespace sanderling;
using namespace sanderling::tool;

int list_isa() {
  std::size_t count = 0;
  const KernelTable* const* const tables = kernel_tables(&count);
  for (std::size_t i = 0; i < count; ++i)
    std::printf("%s%s\n", tables[i]->isa, tables[i]->supported() ? "" : " (not on this processor)");
  return 0;
}

int act(const Options& options) {
  switch (options.action) {
    case Action::score: return run_score(options);
    case Action::calibrate: return run_calibrate(options);
    case Action::selftest: return run_selftest(options);
    case Action::list_isa: return list_isa();
    case Action::version: return std::printf("sanderling-run %s (ISA %s)\n", SANDERLING_VERSION, isa_names()), 0;
    case Action::help: return std::fputs(kHelp, stdout), 0;
  }
  return 1;
}

bool is_verb(const char* word) { return std::strcmp(word, "bundle") == 0 || std::strcmp(word, "slot") == 0; }

int run(int argc, char** argv) {
  if (argc > 1 && is_verb(argv[1])) return run_verb(argc, argv);
  if (argc > 1 && std::strcmp(argv[1], "text") == 0) return run_text(argc, argv);
  if (argc > 1 && std::strcmp(argv[1], "guard") == 0) return run_guard(argc - 2, argv + 2);
  Options options;
  Error error;
  if (!parse_options(argc, argv, &options, &error)) return report(error);
  install_signals();
  return act(options);
}

}  // namespace

int main(int argc, char** argv) {
  hold_standard_streams();
  Error error;
  const int status = run(argc, argv);
  if (std::fflush(stdout) == 0 || errno == EPIPE || status != 0) return status;
  error.status = Status::io;
  std::snprintf(error.message, sizeof error.message, "standard output: expected to write, found: %s; check the path, rights and space",
                std::strerror(errno));
  return report(error);
}
