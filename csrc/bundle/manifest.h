// A bundle's manifest (docs/bundle.md, export/bundle.py class Manifest): what the signature covers.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/engine.h"

namespace sanderling {

constexpr std::size_t kMaxParts = 32, kMaxManifest = 65536, kDigestBytes = 32;
constexpr std::uint64_t kMaxPart = std::uint64_t{256} << 20;
constexpr char kManifestName[] = "manifest", kSignatureName[] = "manifest.minisig", kModelName[] = "model.gguf",
               kRunnerName[] = "sanderling-run";

struct Part {
  std::string name;
  unsigned char sha256[kDigestBytes];
  std::uint64_t size;
  unsigned mode;  // 0644 or 0755
};

struct Manifest {
  std::string name;
  std::uint32_t version = 0;  // 1 to 2^31 - 1
  std::string machine, isa;
  std::vector<std::string> boards;
  std::vector<Part> parts;
};

// Letters, digits, '.', '_' and '-', at most 64, not starting with a mark: such a name leads nowhere but into its folder.
bool is_plain_name(std::string_view name);

// A manifest from its bytes; model and runner are among the parts. False and an error (data) for anything but the one way to write
// it. `what` names the bundle in errors.
bool parse_manifest(std::string_view text, const char* what, Manifest* manifest, Error* error);

const Part* find_part(const Manifest& manifest, std::string_view name);
std::string hex(const unsigned char* bytes, std::size_t size);

}  // namespace sanderling
