#include "tool/board.h"

#include <string_view>

#include "tool/files.h"

namespace sanderling::tool {
namespace {

struct Row {
  const char *id, *compatible;
};

constexpr Row kBoards[] = {
#include "board_table.inc"
};

constexpr std::size_t kMaxProperty = 65536;

}  // namespace

#if defined(__aarch64__)
const char kMachine[] = "aarch64";
#elif defined(__x86_64__)
const char kMachine[] = "x86_64";
#else
const char kMachine[] = "unknown";
#endif

std::string detect_board(const std::string& folder) {
  std::string compatible;
  Error none;
  if (!read_text(folder + "/compatible", kMaxProperty, &compatible, &none))
    return std::string_view(kMachine) == "x86_64" ? kMachine : "";
  // NUL-separated, the most specific first.
  for (std::size_t at = 0; at < compatible.size(); at += std::string_view(compatible.c_str() + at).size() + 1)
    for (const Row& row : kBoards)
      if (std::string_view(compatible.c_str() + at) == row.compatible) return row.id;
  return std::string_view(kMachine) == "x86_64" ? kMachine : "";
}

}  // namespace sanderling::tool
