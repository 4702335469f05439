// `sanderling-run bundle|slot`: the command line, and a bundle checked without installing it.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "io/json.h"
#include "tool/slot.h"
#include "tool/system.h"
#include "tool/tool.h"

namespace sanderling::tool {
namespace {

class NoSink : public Sink {
 public:
  bool begin(const Part&, Error*) override { return true; }
  bool data(const void*, std::size_t, Error*) override { return true; }
  bool end(const Part&, Error*) override { return true; }
};

void print_manifest(const Manifest& manifest, const std::string& key) {
  std::string boards;
  for (const std::string& id : manifest.boards) boards += (boards.empty() ? "" : " ") + id;
  JsonLine line;
  line.text("name", manifest.name).count("version", manifest.version).text("machine", manifest.machine).text("isa", manifest.isa);
  line.text("boards", boards).count("parts", manifest.parts.size()).text("key", key);
  std::fputs(std::string(line.finish()).c_str(), stdout);
}

bool check_bundle(const SlotOptions& options, bool signature_too, Manifest* manifest, std::string* signer, Error* error) {
  const char* const what = options.bundle.c_str();
  FileSource source;
  NoSink sink;
  std::string text, signature, key_text;
  PublicKey key;
  if (signature_too && (!read_text(options.key, kMaxKeyFile, &key_text, error) || !parse_public_key(key_text, options.key.c_str(), &key, error)))
    return false;
  if (!source.open(options.bundle, error) || !read_head(&source, what, &text, &signature, error)) return false;
  if (signature_too && !verify_signature(text, signature, key, what, error)) return false;
  *signer = signature_too ? key.name() : "";
  return parse_manifest(text, what, manifest, error) && read_parts(&source, what, *manifest, &sink, error);
}

int bundle_verify(const SlotOptions& options) {
  Error error;
  Manifest manifest;
  std::string key;
  if (!check_bundle(options, true, &manifest, &key, &error)) return report(error);
  print_manifest(manifest, key);
  return 0;
}

int bundle_inspect(const SlotOptions& options) {
  Error error;
  Manifest manifest;
  std::string key;
  if (!check_bundle(options, false, &manifest, &key, &error)) return report(error);
  print_manifest(manifest, "not checked");
  for (const Part& part : manifest.parts) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%o", part.mode);
    JsonLine line;
    line.text("part", part.name).count("size", part.size).text("mode", mode).text("sha256", hex(part.sha256, kDigestBytes));
    std::fputs(std::string(line.finish()).c_str(), stdout);
  }
  return 0;
}

enum Wanted : unsigned { kState = 1, kFile = 2, kKey = 4, kForce = 8, kInstall = 16 };

struct Verb {
  const char *group, *name;
  unsigned wanted;  // what it needs, and which options it knows
  int (*run)(const SlotOptions& options);
};

constexpr Verb kVerbs[] = {
    {"bundle", "verify", kFile | kKey, bundle_verify},
    {"bundle", "inspect", kFile, bundle_inspect},
    {"slot", "install", kState | kFile | kForce | kInstall, slot_install},
    {"slot", "next", kState, slot_next},
    {"slot", "confirm", kState, slot_confirm},
    {"slot", "rollback", kState | kForce, slot_rollback},
    {"slot", "status", kState, slot_status},
    {"slot", "history", kState, slot_history},
};

struct Rule {
  const char* name;
  unsigned needs;  // one of a verb's `wanted`
  bool takes_value;
  void (*set)(SlotOptions* o, const char* value);
};

constexpr Rule kRules[] = {
    {"--board", kState, true, [](SlotOptions* o, const char* v) { o->board = v; }},
    {"--confirmed", kInstall, false, [](SlotOptions* o, const char*) { o->confirmed = true; }},
    {"--device-tree", kState, true, [](SlotOptions* o, const char* v) { o->device_tree = v; }},
    {"--force", kForce, false, [](SlotOptions* o, const char*) { o->force = true; }},
    {"--key", kKey | kInstall, true, [](SlotOptions* o, const char* v) { o->key = v; }},
    {"--keys", kInstall, true, [](SlotOptions* o, const char* v) { o->keys.emplace_back(v); }},
    {"--launcher", kInstall, true, [](SlotOptions* o, const char* v) { o->launcher = v; }},
    {"--state", kState, true, [](SlotOptions* o, const char* v) { o->state = v; }},
    {"--trials", kInstall, true, [](SlotOptions* o, const char* v) { o->trials = static_cast<unsigned>(std::strtoul(v, nullptr, 10)); }},
};

bool bad(Error* error, const char* expected, const char* found) {
  return fail(error, Status::argument, "expected %s, found '%.80s'; see --help", expected, found);
}

bool parse_verb(const Verb& verb, int argc, char** argv, SlotOptions* options, Error* error) {
  for (int i = 3; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word.substr(0, 2) != "--") {
      if (!(verb.wanted & kFile) || !options->bundle.empty() || word.empty()) return bad(error, "one bundle, where the verb takes one", argv[i]);
      options->bundle = word;
      continue;
    }
    const Rule* rule = nullptr;
    for (const Rule& one : kRules)
      if (word == one.name && (one.needs & verb.wanted)) rule = &one;
    if (!rule) return bad(error, "an option of this verb", argv[i]);
    if (rule->takes_value && (++i >= argc || !*argv[i])) return bad(error, "a value", rule->name);
    rule->set(options, rule->takes_value ? argv[i] : "");
  }
  if ((verb.wanted & kState) && options->state.empty()) return bad(error, "--state FOLDER", "none");
  if ((verb.wanted & kFile) && options->bundle.empty()) return bad(error, "a bundle's file", "none");
  if ((verb.wanted & kKey) && options->key.empty()) return bad(error, "--key PUBLIC_KEY", "none");
  return (options->trials >= 1 && options->trials <= 99) || bad(error, "--trials from 1 to 99", "another number");
}

}  // namespace

int run_verb(int argc, char** argv) {
  Error error;
  for (const Verb& verb : kVerbs) {
    if (argc < 3 || std::string_view(argv[1]) != verb.group || std::string_view(argv[2]) != verb.name) continue;
    SlotOptions options;
    return parse_verb(verb, argc, argv, &options, &error) ? verb.run(options) : report(error);
  }
  bad(&error, "bundle verify|inspect or slot install|next|confirm|rollback|status|history", argc < 3 ? "no verb" : argv[2]);
  return report(error);
}

}  // namespace sanderling::tool
