// Bundle, manifest, key and signature on any bytes: no crash, and what is taken is what its own rules say.
// Byte 0 chooses the reader; the rest is the input.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "bundle/archive.h"
#include "bundle/minisign.h"

namespace {

using namespace sanderling;

class Memory : public Source {
 public:
  explicit Memory(std::string_view bytes) : left_(bytes) {}
  long read(void* to, std::size_t size) override {
    const std::size_t n = size < left_.size() ? size : left_.size();
    if (n > 0) std::memcpy(to, left_.data(), n);
    left_.remove_prefix(n);
    return static_cast<long>(n);
  }

 private:
  std::string_view left_;
};

class Count : public Sink {
 public:
  bool begin(const Part&, Error*) override { return size_ = 0, true; }
  bool data(const void*, std::size_t size, Error*) override { return size_ += size, true; }
  bool end(const Part& part, Error*) override {
    if (size_ != part.size) std::abort();
    return ++parts, true;
  }
  std::size_t parts = 0;

 private:
  std::uint64_t size_ = 0;
};

void expect(bool good, const Error& error) {
  if (!good && (error.status == Status::ok || !error.message[0])) std::abort();
}

bool check_manifest(std::string_view text, Manifest* manifest) {
  Error error;
  const bool good = parse_manifest(text, "fuzz", manifest, &error);
  expect(good, error);
  if (!good) return false;
  if (manifest->version == 0 || manifest->parts.size() > kMaxParts || !is_plain_name(manifest->name)) std::abort();
  for (const Part& part : manifest->parts)
    if (!is_plain_name(part.name) || part.size > kMaxPart || part.name == kManifestName || part.name == kSignatureName) std::abort();
  return true;
}

void read_bundle(std::string_view bytes) {
  Memory source(bytes);
  Count sink;
  Error error;
  std::string text, signature;
  Manifest manifest;
  const bool headed = read_head(&source, "fuzz", &text, &signature, &error);
  expect(headed, error);
  if (!headed || !check_manifest(text, &manifest)) return;
  const bool good = read_parts(&source, "fuzz", manifest, &sink, &error);
  expect(good, error);
  if (good && sink.parts != manifest.parts.size()) std::abort();
}

void read_signature(std::string_view text) {
  Error error;
  PublicKey key;
  const bool good = parse_public_key(text, "fuzz", &key, &error);
  expect(good, error);
  if (!good) std::memset(&key, 7, sizeof key);
  // Nothing here is signed by anybody.
  if (verify_signature("data", text, key, "fuzz", &error)) std::abort();
  const std::string signer = signer_of(text);
  if (!signer.empty() && signer.size() != 16) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  Manifest manifest;
  switch (data[0] % 3) {
    case 0: read_bundle(rest); break;
    case 1: check_manifest(rest, &manifest); break;
    default: read_signature(rest);
  }
  return 0;
}
