#include "text_config.h"

#include <algorithm>
#include <iterator>

#include "../model/config_reader.h"
#include "views_loader.h"

namespace sanderling {
namespace {

struct U32Key {
  const char* name;
  std::uint32_t TextConfig::*field;
  std::uint32_t least, most, multiple;
};

constexpr U32Key u32_keys[] = {
    {"text.d_model", &TextConfig::d_model, 16, 2048, 16},  {"text.head_dim", &TextConfig::head_dim, 16, 128, 16},
    {"text.positions", &TextConfig::positions, 2, 4096, 1}, {"text.token_types", &TextConfig::token_types, 1, 16, 1},
    {"text.max_tokens", &TextConfig::max_tokens, 2, 4096, 1}, {"text.window", &TextConfig::window, 0, 4096, 1},
};


struct TokenizerKey {
  const char* name;
  bool TokenizerOptions::*field;
};

constexpr TokenizerKey tokenizer_keys[] = {
    {"text.lowercase", &TokenizerOptions::lowercase},
    {"text.strip_accents", &TokenizerOptions::strip_accents},
    {"text.split_ideographs", &TokenizerOptions::split_ideographs},
};

constexpr LayerKey heads_key = {"text.n_heads", 1, 64, 1}, ffn_key = {"text.ffn", 16, 8192, 16};
constexpr const char normalise_key[] = "text.normalise", eps_key[] = "text.eps", pooling_key[] = "text.pooling", hash_key[] = "text.tokenizer";
constexpr const char* other_keys[] = {"version", "variant", "lineage.base_sha256", normalise_key, eps_key, pooling_key, hash_key,
                                      heads_key.name, ffn_key.name};

bool known(const char* name) {
  const auto is = [name](const char* other) { return std::strcmp(name, other) == 0; };
  if (std::strncmp(name, views_prefix, sizeof views_prefix - 1) == 0) return true;  // load_views looks at them
  return std::any_of(std::begin(u32_keys), std::end(u32_keys), [&](const U32Key& k) { return is(k.name); }) ||
         std::any_of(std::begin(tokenizer_keys), std::end(tokenizer_keys), [&](const TokenizerKey& k) { return is(k.name); }) ||
         std::any_of(std::begin(other_keys), std::end(other_keys), is);
}

bool read_switch(KeyReader* reader, const char* name, bool* on) {
  std::uint32_t value = 0;
  if (!reader->u32(name, &value) || !reader->in_range(name, value, 0, 1, 1)) return false;
  *on = value == 1;
  return true;
}

}  // namespace

bool read_text_config(const GgufFile& file, TextConfig* config, Error* error) {
  KeyReader reader(file, error);
  if (!reader.container()) return false;
  if (file.find_key("sanderling.text.d_model") == nullptr)
    return fail(error, Status::model_format, "expected a text encoder, found a model of signals, or of texts without an encoder; export one with sanderling.export.bert");
  if (!reader.no_unknown_keys(known, "tokenizer.ggml.")) return false;
  for (const U32Key& key : u32_keys)
    if (!reader.u32(key.name, &(config->*key.field)) ||
        !reader.in_range(key.name, config->*key.field, key.least, key.most, key.multiple))
      return false;
  for (const TokenizerKey& key : tokenizer_keys)
    if (!read_switch(&reader, key.name, &(config->tokenizer.*key.field))) return false;
  char pooling[64];
  if (!read_switch(&reader, normalise_key, &config->normalise) || !reader.f32(eps_key, 1e-12f, 1e-3f, &config->eps) ||
      !reader.text(pooling_key, pooling) || !reader.text(hash_key, config->hash) || !reader.text("variant", config->variant))
    return false;
  config->mean_pooling = std::strcmp(pooling, "mean") == 0;
  if (!config->mean_pooling && std::strcmp(pooling, "cls") != 0)
    return fail(error, Status::model_format, "expected sanderling.text.pooling mean or cls, found %s; export the model again", pooling);
  if (config->max_tokens > config->positions)
    return fail(error, Status::model_format, "expected sanderling.text.max_tokens of at most %u (positions), found %u; export it again",
                config->positions, config->max_tokens);
  std::uint64_t heads = 0, widths = 0;
  if (!reader.layers(heads_key, config->n_heads, &heads) || !reader.layers(ffn_key, config->ffn, &widths)) return false;
  if (heads != widths)
    return fail(error, Status::model_format, "expected as many sanderling.text.ffn as n_heads (%llu), found %llu; export it again",
                static_cast<unsigned long long>(heads), static_cast<unsigned long long>(widths));
  config->n_layers = static_cast<std::uint32_t>(heads);
  return true;
}

}  // namespace sanderling
