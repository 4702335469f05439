// The verbs of `sanderling-run slot` (docs/slots.md); each returns the exit status.
#pragma once
#include <string>
#include <vector>

#include "tool/slots.h"

namespace sanderling::tool {

struct SlotOptions {
  std::string state, bundle, key, board, device_tree = "/proc/device-tree", launcher;
  std::vector<std::string> keys;  // folders
  unsigned trials = 3;
  bool confirmed = false, force = false;
};

int slot_install(const SlotOptions& options);
int slot_next(const SlotOptions& options);
int slot_confirm(const SlotOptions& options);
int slot_rollback(const SlotOptions& options);
int slot_status(const SlotOptions& options);
int slot_history(const SlotOptions& options);

// The line that status, confirm and rollback print.
int print_status(const Slots& slots, const SlotOptions& options);

// Whether the slot's own runner passes its selftest with the slot's model. launcher: a program that runs it, an emulator's; or empty.
// False and what it said last.
bool slot_selftest(const Slots& slots, char slot, const std::string& launcher, std::string* said);

}  // namespace sanderling::tool
