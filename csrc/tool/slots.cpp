#include "tool/slots.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "io/json.h"

namespace sanderling::tool {
namespace {

constexpr std::size_t kMaxHistory = 65536;
constexpr unsigned kMaxStarts = 99;
constexpr char kEnded[] = " ended\n";

char slot_of(std::string_view text) { return text == "a" || text == "b" ? text[0] : '\0'; }

// "b 3\n" or "b ended\n"; anything else is no trial.
void parse_trial(const std::string& text, Slots* slots) {
  const std::string count = text.size() > 3 ? text.substr(2, text.size() - 3) : "";
  const bool ended = text.substr(1) == kEnded;
  const bool counted = text[1] == ' ' && text.back() == '\n' && !count.empty() && count.size() <= 2 &&
                       count.find_first_not_of("0123456789") == std::string::npos;
  if (!slot_of(text.substr(0, 1)) || (!ended && !counted)) return;
  slots->trial = text[0];
  slots->ended = ended;
  slots->left = ended ? 0 : static_cast<unsigned>(std::strtoul(count.c_str(), nullptr, 10));
}

class HashSink {
 public:
  bool check(const std::string& path, const Part& part, Error* error) {
    FileSource source;
    if (!source.open(path, error)) return false;
    if (part.mode == 0755 && ::access(path.c_str(), X_OK) != 0) return io_error(error, "a program", path);
    Sha256 hash;
    std::uint64_t size = 0;
    for (long got = 1; got > 0; size += static_cast<std::uint64_t>(got)) {
      got = source.read(buffer_.data(), buffer_.size());
      if (got < 0) return io_error(error, "to read it", path);
      hash.add(buffer_.data(), static_cast<std::size_t>(got));
    }
    unsigned char digest[kDigestBytes];
    hash.finish(digest);
    if (size == part.size && std::memcmp(digest, part.sha256, kDigestBytes) == 0) return true;
    return fail(error, Status::data, "%.300s: expected the part as its bundle has it, found altered bytes; install it again", path.c_str());
  }

 private:
  std::vector<char> buffer_ = std::vector<char>(std::size_t{1} << 16);
};

// Drops the older half, whole lines alone.
void shorten(const std::string& path, std::string text) {
  const std::size_t cut = text.find('\n', text.size() / 2);
  Error none;
  if (cut != std::string::npos) replace_file(path, std::string_view(text).substr(cut + 1), 0644, &none);
}

std::uint64_t last_number(std::string_view text) {
  const std::size_t at = text.rfind("{\"seq\": ");
  return at == std::string_view::npos ? 0 : std::strtoull(text.data() + at + 8, nullptr, 10);
}

}  // namespace

bool read_slots(const std::string& root, Slots* slots, Error* error) {
  *slots = Slots{};
  slots->root = root;
  if (!is_folder(root))
    return fail(error, Status::argument, "%.300s: expected a state folder, found none; make it, or check --state", root.c_str());
  std::string text;
  Error none;
  if (read_text(root + "/active", 16, &text, &none) && text.size() == 2 && text[1] == '\n') slots->active = slot_of(text.substr(0, 1));
  if (read_text(root + "/trial", 16, &text, &none) && !text.empty()) parse_trial(text, slots);
  char link[16];
  const ssize_t size = ::readlink((root + "/current").c_str(), link, sizeof link);
  if (size == 7 && std::memcmp(link, "slots/", 6) == 0) slots->current = slot_of({link + 6, 1});
  return true;
}

bool write_active(Slots* slots, char active, Error* error) {
  if (!replace_file(slots->root + "/active", std::string{active, '\n'}, 0644, error)) return false;
  slots->active = active;
  return true;
}

bool write_trial(Slots* slots, char trial, unsigned left, Error* error) {
  char text[16];
  std::snprintf(text, sizeof text, "%c %u\n", trial, std::min(left, kMaxStarts));
  if (!replace_file(slots->root + "/trial", text, 0644, error)) return false;
  slots->trial = trial;
  slots->left = left;
  slots->ended = false;
  return true;
}

bool end_trial(Slots* slots, Error* error) {
  if (!replace_file(slots->root + "/trial", slots->trial + std::string(kEnded), 0644, error)) return false;
  slots->left = 0;
  slots->ended = true;
  return true;
}

bool write_current(Slots* slots, char current, Error* error) {
  if (slots->current == current) return true;
  if (!replace_link(std::string("slots/") + current, slots->root + "/current", error)) return false;
  slots->current = current;
  return true;
}

bool slot_manifest(const Slots& slots, char slot, std::string* text, Manifest* manifest, Error* error) {
  const std::string path = slots.folder(slot) + "/" + kManifestName;
  return read_text(path, kMaxManifest, text, error) && parse_manifest(*text, path.c_str(), manifest, error);
}

bool check_slot(const Slots& slots, char slot, Manifest* manifest, Error* error) {
  std::string text;
  if (!slot_manifest(slots, slot, &text, manifest, error)) return false;
  HashSink sink;
  for (const Part& part : manifest->parts)
    if (!sink.check(slots.folder(slot) + "/" + part.name, part, error)) return false;
  return true;
}

std::vector<Key> trusted_keys(const Slots& slots, const std::vector<std::string>& folders) {
  std::vector<std::string> all = {slots.root + "/keys"};
  all.insert(all.end(), folders.begin(), folders.end());
  std::vector<Key> keys;
  for (const std::string& place : all) {
    DIR* const folder = ::opendir(place.c_str());
    if (!folder) continue;
    while (const dirent* const entry = ::readdir(folder)) {
      const std::string name = entry->d_name;
      Key key;
      Error none;
      if (name.size() < 4 || name.compare(name.size() - 4, 4, ".pub") != 0) continue;
      const std::string path = place + "/" + name;
      if (read_text(path, kMaxKeyFile, &key.text, &none) && parse_public_key(key.text, path.c_str(), &key.key, &none)) keys.push_back(key);
    }
    ::closedir(folder);
  }
  return keys;
}

void remember(const Slots& slots, const char* event, char slot, const Manifest& manifest, const std::string& note) {
  const std::string path = slots.root + "/history.jsonl";
  std::string text;
  Error none;
  if (is_file(path) && !read_text(path, 2 * kMaxHistory, &text, &none)) ::unlink(path.c_str());
  if (text.size() > kMaxHistory) shorten(path, text);
  JsonLine line;
  line.count("seq", last_number(text) + 1).text("event", event).text("slot", {&slot, std::size_t{slot != 0}});
  line.text("name", manifest.name).count("version", manifest.version).text("note", note);
  std::string added(line.finish());
  // The last append was cut short: what follows must stand on its own line.
  if (!text.empty() && text.back() != '\n') added.insert(0, 1, '\n');
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0) return;
  if (::write(fd, added.data(), added.size()) > 0) ::fsync(fd);
  ::close(fd);
  if (text.empty()) sync_folder(slots.root, &none);
}

bool print_history(const Slots& slots, Error* error) {
  const std::string path = slots.root + "/history.jsonl";
  std::string text;
  if (!is_file(path)) return true;
  if (!read_text(path, 2 * kMaxHistory, &text, error)) return false;
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    const std::string line = text.substr(at, end - at);
    if (line.substr(0, 8) == "{\"seq\": " && line.back() == '}') std::printf("%s\n", line.c_str());
  }
  return true;
}

}  // namespace sanderling::tool
