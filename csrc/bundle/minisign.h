// Keys and signatures of minisign (https://jedisct1.github.io/minisign/): Ed25519 over BLAKE2b-512. The layout is that of
// export/minisign.py.
#pragma once
#include <string>
#include <string_view>

#include "model/engine.h"

namespace sanderling {

constexpr std::size_t kMaxKeyFile = 16384;

struct PublicKey {
  unsigned char id[8], key[32];
  std::string name() const;  // as minisign prints it: 16 hexadecimal digits
};

// A public key from its file's text. False and an error (data).
bool parse_public_key(std::string_view text, const char* what, PublicKey* key, Error* error);

// The id of the key that made a signature, as PublicKey::name; empty when it is no signature.
std::string signer_of(std::string_view signature);

// Whether `signature` (a .minisig file's text) is the key's of `data`, trusted comment included. False and an error (data).
bool verify_signature(std::string_view data, std::string_view signature, const PublicKey& key, const char* what, Error* error);

// SHA-256, block by block.
class Sha256 {
 public:
  Sha256();
  void add(const void* bytes, std::size_t size);
  void finish(unsigned char digest[32]);

 private:
  alignas(16) unsigned char state_[128];
};

}  // namespace sanderling
