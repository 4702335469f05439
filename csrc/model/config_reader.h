// Typed and checked access to the keys of a native file, for the readers of its kinds (config.cpp, text/text_config.cpp).
#pragma once
#include <cstdio>
#include <cstring>

#include "config.h"

namespace sanderling {

constexpr char prefix[] = "sanderling.";
constexpr std::uint32_t schema_version = 1;

struct LayerKey {
  const char* name;
  std::uint32_t least, most, multiple;
};

class KeyReader {
 public:
  KeyReader(const GgufFile& file, Error* error) : file_(file), error_(error) {}

  const GgufKey* find(const char* name, GgufType type, const char* type_name) {
    char full[64];
    std::snprintf(full, sizeof full, "%s%s", prefix, name);
    const GgufKey* key = file_.find_key(full);
    if (key == nullptr) {
      fail(error_, Status::model_format, "expected the key %s, found none; export the model again", full);
      return nullptr;
    }
    if (key->type != type) {
      fail(error_, Status::model_format, "expected the key %s to be %s, found GGUF type %u; export the model again", full, type_name,
           static_cast<unsigned>(key->type));
      return nullptr;
    }
    return key;
  }

  bool u32(const char* name, std::uint32_t* out) {
    const GgufKey* key = find(name, GgufType::u32, "u32");
    if (key != nullptr) std::memcpy(out, key->value, sizeof *out);
    return key != nullptr;
  }

  bool f32(const char* name, float least, float most, float* out) {
    const GgufKey* key = find(name, GgufType::f32, "f32");
    if (key == nullptr) return false;
    std::memcpy(out, key->value, sizeof *out);
    return (*out >= least && *out <= most) ||
           fail(error_, Status::model_format, "expected %s%s between %g and %g, found %g; export the model again", prefix, name,
                static_cast<double>(least), static_cast<double>(most), static_cast<double>(*out));
  }

  bool f64(const char* name, double least, double most, double* out) {
    const GgufKey* key = find(name, GgufType::f64, "f64");
    if (key == nullptr) return false;
    std::memcpy(out, key->value, sizeof *out);
    return (*out >= least && *out <= most) ||
           fail(error_, Status::model_format, "expected %s%s between %g and %g, found %g; export the model again", prefix, name, least, most, *out);
  }

  bool in_range(const char* name, std::uint32_t value, std::uint32_t least, std::uint32_t most, std::uint32_t multiple) {
    return (value >= least && value <= most && value % multiple == 0) ||
           fail(error_, Status::model_format, "expected %s%s between %u and %u in multiples of %u, found %u; export the model again",
                prefix, name, least, most, multiple, value);
  }

  // One value a layer, into to[max_layers].
  bool layers(const LayerKey& spec, std::uint32_t* to, std::uint64_t* count) {
    const GgufKey* key = find(spec.name, GgufType::array, "an array");
    if (key == nullptr) return false;
    if (key->item != GgufType::i32 || key->count < 1 || key->count > max_layers)
      return fail(error_, Status::model_format, "expected %s%s to hold 1 to %u values of i32, found %llu of GGUF type %u; export it again",
                  prefix, spec.name, max_layers, static_cast<unsigned long long>(key->count), static_cast<unsigned>(key->item));
    *count = key->count;
    std::memcpy(to, key->value, key->count * sizeof(std::uint32_t));
    for (std::uint64_t i = 0; i < key->count; ++i)
      if (!in_range(spec.name, to[i], spec.least, spec.most, spec.multiple)) return false;
    return true;
  }

  // A short text of printable ASCII.
  bool text(const char* name, char (&out)[64]) {
    const GgufKey* key = find(name, GgufType::string, "a string");
    if (key == nullptr) return false;
    bool ok = key->count < sizeof out;
    for (std::uint64_t i = 0; ok && i < key->count; ++i) ok = key->value[i] >= 0x20 && key->value[i] < 0x7f;
    if (!ok) return fail(error_, Status::model_format, "expected %s%s of at most 63 ASCII characters; export the model again", prefix, name);
    std::memcpy(out, key->value, key->count);
    out[key->count] = 0;
    return true;
  }

  // known(name): of a key without the prefix. Keys that begin with `beside` are another reader's.
  template <typename Known>
  bool no_unknown_keys(Known known, const char* beside = "general.") {
    for (std::size_t i = 0; i < file_.n_keys; ++i) {
      const char* name = file_.keys[i].name;
      if (std::strncmp(name, "general.", 8) == 0 || std::strncmp(name, beside, std::strlen(beside)) == 0) continue;
      if (std::strncmp(name, prefix, sizeof prefix - 1) != 0 || !known(name + sizeof prefix - 1))
        return fail(error_, Status::model_format, "expected the keys of schema version %u, found %s; update sanderling", schema_version, name);
    }
    return true;
  }

  // Ours, aligned as we read, of this schema.
  bool container() {
    const GgufKey* architecture = file_.find_key("general.architecture");
    if (architecture == nullptr || architecture->type != GgufType::string || architecture->count != sizeof prefix - 2 ||
        std::memcmp(architecture->value, prefix, sizeof prefix - 2) != 0)
      return fail(error_, Status::model_format, "expected general.architecture sanderling, found another GGUF model; give a sanderling model");
    const GgufKey* alignment = file_.find_key("general.alignment");
    std::uint32_t bytes = gguf_alignment;
    if (alignment != nullptr && alignment->type == GgufType::u32) std::memcpy(&bytes, alignment->value, sizeof bytes);
    if (bytes != gguf_alignment || (alignment != nullptr && alignment->type != GgufType::u32))
      return fail(error_, Status::model_format, "expected general.alignment 32 (u32) or none, found another; export the model again");

    std::uint32_t version = 0;
    if (!u32("version", &version)) return false;
    if (version != schema_version)
      return fail(error_, Status::model_version, "expected sanderling.version %u, found %u; export the model with this release or update",
                  schema_version, version);
    return true;
  }

 private:
  const GgufFile& file_;
  Error* error_;
};

}  // namespace sanderling
