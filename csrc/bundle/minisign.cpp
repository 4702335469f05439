#include "bundle/minisign.h"

#include <sodium.h>

#include <cstring>
#include <vector>

#include "bundle/manifest.h"
#include "core/error.h"

// sodium_init() is not called: it asks for random numbers, which a board has none of in its first second; hashes and the check of a
// signature need none, and their portable versions are the default.
namespace sanderling {
namespace {

constexpr std::size_t kSignature = crypto_sign_BYTES;
constexpr std::string_view kUntrusted = "untrusted comment: ", kTrusted = "trusted comment: ";

// The line up to '\n', taken off the text; the last one may lack it.
std::string_view take_line(std::string_view* text) {
  const std::size_t end = text->find('\n');
  const std::string_view line = text->substr(0, end);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  return line;
}

bool decode(std::string_view line, unsigned char* bytes, std::size_t size) {
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  std::size_t got = 0;
  const char* end = nullptr;
  if (sodium_base642bin(bytes, size, line.data(), line.size(), nullptr, &got, &end, sodium_base64_VARIANT_ORIGINAL) != 0) return false;
  return got == size && end == line.data() + line.size();
}

struct Signature {
  unsigned char head[2 + 8 + kSignature];  // "ED", key id, signature
  unsigned char whole[kSignature];
  std::string_view comment;
};

bool parse_signature(std::string_view text, Signature* signature) {
  if (text.size() > kMaxKeyFile) return false;
  take_line(&text);
  if (!decode(take_line(&text), signature->head, sizeof signature->head)) return false;
  signature->comment = take_line(&text);
  if (signature->comment.substr(0, kTrusted.size()) != kTrusted) return false;
  signature->comment.remove_prefix(kTrusted.size());
  return decode(take_line(&text), signature->whole, kSignature) && std::memcmp(signature->head, "ED", 2) == 0;
}

std::string key_name(const unsigned char id[8]) {
  unsigned char reversed[8];
  for (std::size_t i = 0; i < 8; ++i) reversed[i] = id[7 - i];
  std::string name = hex(reversed, 8);
  for (char& c : name)
    if (c >= 'a') c = static_cast<char>(c - 'a' + 'A');
  return name;
}

}  // namespace

std::string PublicKey::name() const { return key_name(id); }

bool parse_public_key(std::string_view text, const char* what, PublicKey* key, Error* error) {
  unsigned char raw[2 + sizeof key->id + sizeof key->key];
  std::string_view rest = text;
  const bool headed = text.size() <= kMaxKeyFile && take_line(&rest).substr(0, kUntrusted.size()) == kUntrusted;
  if (!headed || !decode(take_line(&rest), raw, sizeof raw) || std::memcmp(raw, "Ed", 2) != 0)
    return fail(error, Status::data, "%.200s: expected a minisign public key (two lines, Ed25519), found another file; use the .pub file", what);
  std::memcpy(key->id, raw + 2, sizeof key->id);
  std::memcpy(key->key, raw + 2 + sizeof key->id, sizeof key->key);
  return true;
}

std::string signer_of(std::string_view signature) {
  Signature found;
  return parse_signature(signature, &found) ? key_name(found.head + 2) : std::string();
}

bool verify_signature(std::string_view data, std::string_view signature, const PublicKey& key, const char* what, Error* error) {
  Signature found;
  if (!parse_signature(signature, &found))
    return fail(error, Status::data, "%.200s: expected the four lines of a prehashed minisign signature, found another text; sign it again", what);
  if (std::memcmp(found.head + 2, key.id, sizeof key.id) != 0)
    return fail(error, Status::data, "%.200s: expected a signature by key %s, found one by %s; use its key", what, key.name().c_str(),
                key_name(found.head + 2).c_str());
  unsigned char digest[crypto_generichash_BYTES_MAX];
  crypto_generichash(digest, sizeof digest, reinterpret_cast<const unsigned char*>(data.data()), data.size(), nullptr, 0);
  std::vector<unsigned char> covered(found.head + 10, found.head + 10 + kSignature);
  covered.insert(covered.end(), found.comment.begin(), found.comment.end());
  if (crypto_sign_verify_detached(found.head + 10, digest, sizeof digest, key.key) == 0 &&
      crypto_sign_verify_detached(found.whole, covered.data(), covered.size(), key.key) == 0)
    return true;
  return fail(error, Status::data, "%.200s: expected bytes signed by key %s, found altered ones; fetch the file again", what,
              key.name().c_str());
}

static_assert(sizeof(crypto_hash_sha256_state) <= 128 && alignof(crypto_hash_sha256_state) <= 16, "state_ holds libsodium's");

Sha256::Sha256() { crypto_hash_sha256_init(reinterpret_cast<crypto_hash_sha256_state*>(state_)); }

void Sha256::add(const void* bytes, std::size_t size) {
  crypto_hash_sha256_update(reinterpret_cast<crypto_hash_sha256_state*>(state_), static_cast<const unsigned char*>(bytes), size);
}

void Sha256::finish(unsigned char digest[32]) { crypto_hash_sha256_final(reinterpret_cast<crypto_hash_sha256_state*>(state_), digest); }

}  // namespace sanderling
