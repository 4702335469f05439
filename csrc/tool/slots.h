// The state folder of docs/slots.md: two slots, which is confirmed, which is under trial, what happened.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "bundle/manifest.h"
#include "bundle/minisign.h"
#include "tool/files.h"

namespace sanderling::tool {

struct Slots {
  std::string root;
  char active = 0;     // 'a', 'b' or 0: none confirmed
  char trial = 0;      // under trial, or whose trial ended without a confirmation
  bool ended = false;  // the latter
  unsigned left = 0;   // starts of the trial; none left while the last one runs
  char current = 0;    // what the last `next` chose

  std::string folder(char slot) const { return root + "/slots/" + slot; }
  std::string launcher() const { return root + "/bin/sanderling-run"; }
  bool on_trial() const { return trial != 0 && trial != active && !ended && (left > 0 || current == trial); }
  bool failed(char slot) const { return trial == slot && trial != active && !on_trial(); }
};

constexpr char other(char slot) { return slot == 'a' ? 'b' : 'a'; }

// What the folder says; unreadable files count as absent. False and an error when there is no folder.
bool read_slots(const std::string& root, Slots* slots, Error* error);
bool write_active(Slots* slots, char active, Error* error);
bool write_trial(Slots* slots, char trial, unsigned left, Error* error);
bool end_trial(Slots* slots, Error* error);
bool write_current(Slots* slots, char current, Error* error);

// A slot's manifest, when it parses and every part has its size, mode and hash. False and an error (data, io).
bool check_slot(const Slots& slots, char slot, Manifest* manifest, Error* error);
// The manifest alone.
bool slot_manifest(const Slots& slots, char slot, std::string* text, Manifest* manifest, Error* error);

struct Key {
  PublicKey key;
  std::string text;
};
// The *.pub files of S/keys and of more folders; a damaged one is passed over.
std::vector<Key> trusted_keys(const Slots& slots, const std::vector<std::string>& folders);

// Appends to the history and syncs; what cannot be written is lost, and nothing else.
void remember(const Slots& slots, const char* event, char slot, const Manifest& manifest, const std::string& note);
// Prints the whole lines.
bool print_history(const Slots& slots, Error* error);

}  // namespace sanderling::tool
