#include "bundle/manifest.h"

#include <cstring>

#include "core/error.h"

namespace sanderling {
namespace {

constexpr std::string_view kMagic = "sanderling-bundle 1";

// Takes the text up to the separator and what follows it off `rest`.
bool take(std::string_view* rest, char separator, std::string_view* word) {
  const std::size_t end = rest->find(separator);
  if (end == std::string_view::npos) return false;
  *word = rest->substr(0, end);
  rest->remove_prefix(end + 1);
  return true;
}

// A whole number in its one way to be written: no sign, no leading zero.
bool parse_count(std::string_view text, unsigned base, std::uint64_t most, std::uint64_t* value) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  *value = 0;
  for (const char c : text) {
    const auto digit = static_cast<unsigned>(c - '0');
    if (c < '0' || digit >= base) return false;
    *value = *value * base + digit;
    if (*value > most) return false;
  }
  return true;
}

bool parse_digest(std::string_view text, unsigned char* bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  if (text.size() != 2 * kDigestBytes) return false;
  for (std::size_t i = 0; i < kDigestBytes; ++i) {
    const std::size_t high = kDigits.find(text[2 * i]), low = kDigits.find(text[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return false;
    bytes[i] = static_cast<unsigned char>(high << 4 | low);
  }
  return true;
}

bool parse_part(std::string_view line, Part* part) {
  std::string_view key, digest, size, mode;
  std::uint64_t octal = 0;
  if (!take(&line, ' ', &key) || !take(&line, ' ', &digest) || !take(&line, ' ', &size) || !take(&line, ' ', &mode)) return false;
  if (key != "part" || !parse_digest(digest, part->sha256) || !parse_count(size, 10, kMaxPart, &part->size)) return false;
  if (!parse_count(mode, 8, 0777, &octal) || (octal != 0644 && octal != 0755) || !is_plain_name(line)) return false;
  part->mode = static_cast<unsigned>(octal);
  part->name = line;
  return line != kManifestName && line != kSignatureName;
}

bool parse_boards(std::string_view line, std::vector<std::string>* boards) {
  for (;;) {
    const std::size_t space = line.find(' ');
    if (!is_plain_name(line.substr(0, space)) || boards->size() == kMaxParts) return false;
    boards->emplace_back(line.substr(0, space));
    if (space == std::string_view::npos) return true;
    line.remove_prefix(space + 1);
  }
}

bool parse_lines(std::string_view rest, Manifest* manifest, std::string_view* line) {
  std::uint64_t version = 0;
  const auto field = [&](std::string_view key) {
    if (!take(&rest, '\n', line) || line->substr(0, key.size()) != key) return false;
    line->remove_prefix(key.size());
    return true;
  };
  if (!field("name ") || !is_plain_name(*line)) return false;
  manifest->name = *line;
  if (!field("version ") || !parse_count(*line, 10, 0x7fffffff, &version) || version == 0) return false;
  manifest->version = static_cast<std::uint32_t>(version);
  if (!field("machine ") || !is_plain_name(*line)) return false;
  manifest->machine = *line;
  if (!field("isa ") || !is_plain_name(*line)) return false;
  manifest->isa = *line;
  if (!field("boards ") || !parse_boards(*line, &manifest->boards)) return false;
  while (!rest.empty()) {
    Part part;
    if (!take(&rest, '\n', line) || !parse_part(*line, &part)) return false;
    if (manifest->parts.size() == kMaxParts || find_part(*manifest, part.name)) return false;
    manifest->parts.push_back(part);
  }
  return true;
}

}  // namespace

bool is_plain_name(std::string_view name) {
  const auto plain = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
  if (name.empty() || name.size() > 64 || !plain(name[0])) return false;
  for (const char c : name)
    if (!plain(c) && c != '.' && c != '_' && c != '-') return false;
  return true;
}

bool parse_manifest(std::string_view text, const char* what, Manifest* manifest, Error* error) {
  std::string_view line, rest = text;
  *manifest = Manifest{};
  if (text.size() > kMaxManifest || !take(&rest, '\n', &line) || line != kMagic)
    return fail(error, Status::data, "%.200s: expected a manifest that starts with '%s', found another file; it is no bundle of ours", what,
                kMagic.data());
  if (!parse_lines(rest, manifest, &line))
    return fail(error, Status::data, "%.200s: expected a manifest as bundles have it, found the line '%.*s'; rebuild the bundle", what,
                static_cast<int>(line.size() < 80 ? line.size() : 80), line.data());
  for (const char* const wanted : {kModelName, kRunnerName})
    if (!find_part(*manifest, wanted))
      return fail(error, Status::data, "%.200s: expected the part '%s' in the bundle, found none; rebuild it", what, wanted);
  return true;
}

const Part* find_part(const Manifest& manifest, std::string_view name) {
  for (const Part& part : manifest.parts)
    if (part.name == name) return &part;
  return nullptr;
}

std::string hex(const unsigned char* bytes, std::size_t size) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += {kDigits[bytes[i] >> 4], kDigits[bytes[i] & 15]};
  return text;
}

}  // namespace sanderling
