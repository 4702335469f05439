// Start, confirm, roll back, look.
#include <cstdio>

#include "core/error.h"
#include "io/json.h"
#include "tool/board.h"
#include "tool/slot.h"
#include "tool/system.h"

namespace sanderling::tool {
namespace {

bool open_locked(const SlotOptions& options, Slots* slots, Lock* lock, Error* error) {
  return read_slots(options.state, slots, error) && lock->take(options.state + "/lock", error) && read_slots(options.state, slots, error);
}

// Slots to try, best first, each once.
std::string candidates(const Slots& slots) {
  std::string order;
  const auto add = [&](char slot) {
    if (slot && order.find(slot) == std::string::npos) order += slot;
  };
  if (slots.on_trial() && slots.left > 0) add(slots.trial);
  add(slots.active);
  if (!slots.active) add(slots.trial);
  for (const char slot : {slots.current, 'a', 'b'})
    if (slot && !slots.failed(slot)) add(slot);
  add('a');  // a failed trial is still better than silence
  add('b');
  return order;
}

// Counts one start of the trial down, on the disk, before it runs.
bool counted(Slots* slots, const Manifest& manifest) {
  Error none;
  if (!write_trial(slots, slots->trial, slots->left - 1, &none)) return false;
  remember(*slots, "start", slots->trial, manifest, "");
  return true;
}

// The keys that a confirmed bundle brings are trusted from now on.
bool adopt_keys(const Slots& slots, const Manifest& manifest, Error* error) {
  for (const Part& part : manifest.parts) {
    if (part.name.size() < 4 || part.name.compare(part.name.size() - 4, 4, ".pub") != 0) continue;
    std::string text;
    PublicKey key;
    const std::string path = slots.folder(slots.trial) + "/" + part.name;
    if (!read_text(path, kMaxKeyFile, &text, error) || !parse_public_key(text, path.c_str(), &key, error)) return false;
    if (!make_folder(slots.root + "/keys", error)) return false;
    if (!replace_file(slots.root + "/keys/" + key.name() + ".pub", text, 0644, error)) return false;
  }
  return true;
}

bool activate(Slots* slots, char slot, Error* error) {
  return write_active(slots, slot, error) && replace_by_copy(slots->folder(slot) + "/" + kRunnerName, slots->launcher(), 0755, error);
}

}  // namespace

int slot_next(const SlotOptions& options) {
  Error error, none;
  Slots slots;
  Lock lock;
  if (!read_slots(options.state, &slots, &error)) return report(error);
  // Without a trial nothing of what an installation writes matters here: it must not hold up a restart. A file system that takes no
  // writes must not either.
  if (slots.on_trial() && lock.take(options.state + "/lock", &none)) read_slots(options.state, &slots, &error);
  const bool trying = slots.on_trial() && slots.left > 0, over = slots.on_trial() && slots.left == 0 && slots.active;
  for (const char slot : candidates(slots)) {
    const bool tried = trying && slot == slots.trial;
    Manifest manifest;
    if (!check_slot(slots, slot, &manifest, &error)) continue;
    if (tried && !counted(&slots, manifest) && slots.active) continue;
    if (over && end_trial(&slots, &none)) remember(slots, "failed", slots.trial, Manifest{}, "no start left, never confirmed");
    if (slots.active && slot != slots.active && !tried) remember(slots, "fallback", slot, manifest, error.message);
    // Where the link can't move, the folder is still the answer: whoever asked starts that.
    write_current(&slots, slot, &none);
    std::printf("%s\n", slots.folder(slot).c_str());
    return 0;
  }
  fail(&error, Status::data, "%.300s: expected a complete version, found none; install a bundle", options.state.c_str());
  return report(error);
}

int slot_confirm(const SlotOptions& options) {
  Error error;
  Slots slots;
  Lock lock;
  if (!open_locked(options, &slots, &lock, &error)) return report(error);
  if (slots.trial == 0 && slots.active) return print_status(slots, options);
  if (slots.trial == slots.active && slots.active) {
    // The power went between the two writes below.
    if (!remove_file(slots.root + "/trial", &error)) return report(error);
    slots.trial = 0;
    return print_status(slots, options);
  }
  if (!slots.on_trial() || slots.current != slots.trial) {
    fail(&error, Status::argument, "expected a trial that has been started, found %s; run slot install and slot next first",
         slots.trial == 0 ? "none" : slots.ended ? "one that has ended" : "one that has not");
    return report(error);
  }
  Manifest manifest;
  if (!check_slot(slots, slots.trial, &manifest, &error) || !adopt_keys(slots, manifest, &error) || !activate(&slots, slots.trial, &error))
    return report(error);
  remember(slots, "confirm", slots.active, manifest, "");
  if (!remove_file(slots.root + "/trial", &error)) return report(error);
  slots.trial = 0;
  return print_status(slots, options);
}

int slot_rollback(const SlotOptions& options) {
  Error error;
  Slots slots;
  Lock lock;
  Manifest manifest;
  if (!open_locked(options, &slots, &lock, &error)) return report(error);
  if (slots.on_trial()) {
    if (!end_trial(&slots, &error)) return report(error);
    remember(slots, "rollback", slots.active, manifest, "trial ended");
    return print_status(slots, options);
  }
  const char target = slots.active ? other(slots.active) : 0;
  if (slots.trial && slots.trial != slots.active && !options.force) {
    fail(&error, Status::argument, "expected a version to go back to, found one whose trial failed in slot %c; install another, or --force", slots.trial);
    return report(error);
  }
  if (target == 0 || !check_slot(slots, target, &manifest, &error)) {
    fail(&error, Status::argument, "expected a version to go back to in the other slot, found none that is complete; install a bundle");
    return report(error);
  }
  if (!activate(&slots, target, &error) || !remove_file(slots.root + "/trial", &error)) return report(error);
  slots.trial = 0;
  remember(slots, "rollback", slots.active, manifest, "");
  return print_status(slots, options);
}

int print_status(const Slots& slots, const SlotOptions& options) {
  const std::string board = options.board.empty() ? detect_board(options.device_tree) : options.board;
  JsonLine line;
  const auto slot_name = [](char slot) { return slot ? std::string(1, slot) : std::string(); };
  const bool settled = slots.trial == 0 || slots.trial == slots.active;
  line.text("active", slot_name(slots.active)).text("trial", slot_name(settled ? 0 : slots.trial));
  line.flag("trial_ended", !settled && slots.ended).count("starts_left", settled ? 0 : slots.left).text("current", slot_name(slots.current)).text("board", board);
  for (const char slot : {'a', 'b'}) {
    Manifest manifest;
    Error none;
    const bool complete = check_slot(slots, slot, &manifest, &none);
    const std::string prefix = std::string(1, slot) + "_";
    line.text((prefix + "name").c_str(), complete ? manifest.name : "").count((prefix + "version").c_str(), complete ? manifest.version : 0);
    line.flag((prefix + "complete").c_str(), complete);
  }
  std::fputs(std::string(line.finish()).c_str(), stdout);
  return 0;
}

int slot_status(const SlotOptions& options) {
  Error error;
  Slots slots;
  if (!read_slots(options.state, &slots, &error)) return report(error);
  return print_status(slots, options);
}

int slot_history(const SlotOptions& options) {
  Error error;
  Slots slots;
  if (!read_slots(options.state, &slots, &error) || !print_history(slots, &error)) return report(error);
  return 0;
}

}  // namespace sanderling::tool
