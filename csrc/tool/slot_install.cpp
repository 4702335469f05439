// Install: the idle slot is written, read back and tested; S/trial is last.
#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "io/json.h"
#include "tool/board.h"
#include "tool/slot.h"
#include "tool/system.h"

namespace sanderling::tool {
namespace {

// The parts of a bundle as files of a folder, each on the disk when it ends.
class FolderSink : public Sink {
 public:
  explicit FolderSink(std::string folder) : folder_(std::move(folder)) {}
  bool begin(const Part& part, Error* error) override {
    file_.emplace();
    return file_->create(folder_ + "/" + part.name, part.mode, error);
  }
  bool data(const void* bytes, std::size_t size, Error* error) override { return file_->add(bytes, size, error); }
  bool end(const Part&, Error* error) override { return file_->close(error); }

 private:
  std::string folder_;
  std::optional<NewFile> file_;
};

// Never the slot that would come back after a failure.
char idle_slot(const Slots& slots) {
  const char kept = slots.active ? slots.active : slots.trial ? slots.trial : slots.current;
  return kept ? other(kept) : 'a';
}

class Install {
 public:
  Install(const SlotOptions& options, Slots* slots) : options_(options), slots_(*slots), what_(options.bundle.c_str()) {}

  bool verified(Error* error) {
    if (slots_.on_trial())
      return fail(error, Status::argument, "expected no trial, found version in slot %c with %u starts left; confirm it or roll it back first",
                  slots_.trial, slots_.left);
    return source_.open(options_.bundle, error) && read_head(&source_, what_, &text_, &signature_, error) && signed_here(error) &&
           parse_manifest(text_, what_, &manifest_, error) && fits_here(error) && fits_after(error);
  }

  bool already_active() const { return already_; }
  const Manifest& manifest() const { return manifest_; }
  char slot() const { return slot_; }

  bool written(Error* error) {
    slot_ = idle_slot(slots_);
    const std::string folder = slots_.folder(slot_);
    FolderSink sink(folder);
    if (!make_folder(slots_.root + "/slots", error) || !make_folder(folder, error) || !make_folder(slots_.root + "/bin", error)) return false;
    if (!store_key(error) || !empty_folder(folder, kManifestName, error)) return false;
    if (!read_parts(&source_, what_, manifest_, &sink, error)) return false;
    if (!write(folder + "/" + kSignatureName, signature_, error) || !sync_folder(folder, error)) return false;
    return write(folder + "/" + kManifestName, text_, error) && sync_folder(folder, error);
  }

  bool tested(Error* error, bool* failed) {
    Manifest again;
    std::string said;
    if (!check_slot(slots_, slot_, &again, error)) return false;
    *failed = !slot_selftest(slots_, slot_, options_.launcher, &said);
    if (!*failed) return true;
    return fail(error, Status::data, "%.200s: expected the selftest to pass on this device, found: %.150s; the running version stays", what_,
                said.c_str());
  }

  bool flipped(Error* error) {
    if (!is_file(slots_.launcher()) || options_.confirmed)
      if (!replace_by_copy(slots_.folder(slot_) + "/" + kRunnerName, slots_.launcher(), 0755, error)) return false;
    remember(slots_, "install", slot_, manifest_, "");
    if (!options_.confirmed) return write_trial(&slots_, slot_, options_.trials, error);
    // A failed trial's mark would outlive its version.
    return (slots_.trial != slot_ || write_trial(&slots_, slot_, 1, error)) && write_active(&slots_, slot_, error) &&
           remove_file(slots_.root + "/trial", error);
  }

  void clean() {
    Error none;
    if (slot_) empty_folder(slots_.folder(slot_), kManifestName, &none);
  }

 private:
  bool signed_here(Error* error) {
    std::vector<Key> keys = trusted_keys(slots_, options_.keys);
    if (!options_.key.empty()) {
      Key given;
      if (!read_text(options_.key, kMaxKeyFile, &given.text, error)) return false;
      if (!parse_public_key(given.text, options_.key.c_str(), &given.key, error)) return false;
      bool known = keys.empty();
      for (const Key& key : keys) known = known || std::memcmp(key.key.key, given.key.key, sizeof given.key.key) == 0;
      if (!known)
        return fail(error, Status::data, "%.200s: expected a key that this device trusts, found %s; sign with the key that it has, or ship the "
                    "new one in a bundle signed by the old one", options_.key.c_str(), given.key.name().c_str());
      if (keys.empty()) first_key_ = given;
      keys = {given};
    }
    if (keys.empty()) return fail(error, Status::data, "expected a trusted key in %.200s/keys, found none; give one by --key", slots_.root.c_str());
    const std::string signer = signer_of(signature_);
    for (const Key& key : keys)
      if (key.key.name() == signer) return verify_signature(text_, signature_, key.key, what_, error);
    if (keys.size() == 1 || signer.empty()) return verify_signature(text_, signature_, keys[0].key, what_, error);
    return fail(error, Status::data, "%.200s: expected a signature by a key that this device trusts, found one by %s; use its key", what_,
                signer.c_str());
  }

  bool fits_here(Error* error) {
    if (manifest_.machine != kMachine)
      return fail(error, Status::data, "%.200s: expected a bundle for %s, found one for %s; make one for this device", what_, kMachine,
                  manifest_.machine.c_str());
    const std::string board = options_.board.empty() ? detect_board(options_.device_tree) : options_.board;
    std::string listed;
    for (const std::string& id : manifest_.boards) {
      if (id == board || options_.force) return true;
      listed += (listed.empty() ? "" : ", ") + id;
    }
    return fail(error, Status::data, "%.200s: expected a bundle for this board (%s), found one for %.100s; make one for it, or --force", what_,
                board.empty() ? "unknown" : board.c_str(), listed.c_str());
  }

  bool fits_after(Error* error) {
    std::string text;
    Manifest running;
    Error none;
    if (!slots_.active || !slot_manifest(slots_, slots_.active, &text, &running, &none)) return true;
    already_ = text == text_ && check_slot(slots_, slots_.active, &running, &none);
    if (already_ || options_.force) return true;
    if (running.name != manifest_.name)
      return fail(error, Status::data, "%.200s: expected a bundle named '%s' as the one here, found '%s'; install it elsewhere, or --force", what_,
                  running.name.c_str(), manifest_.name.c_str());
    if (manifest_.version > running.version) return true;
    return fail(error, Status::data, "%.200s: expected a version above %u, which is active, found %u; raise it, or --force", what_,
                running.version, manifest_.version);
  }

  bool store_key(Error* error) {
    const std::string folder = slots_.root + "/keys";
    if (first_key_.text.empty()) return true;
    return make_folder(folder, error) && replace_file(folder + "/" + first_key_.key.name() + ".pub", first_key_.text, 0644, error);
  }

  static bool write(const std::string& path, const std::string& text, Error* error) {
    NewFile file;
    return file.create(path, 0644, error) && file.add(text.data(), text.size(), error) && file.close(error);
  }

  const SlotOptions& options_;
  Slots& slots_;
  const char* what_;
  FileSource source_;
  std::string text_, signature_;
  Manifest manifest_;
  Key first_key_ = {};
  bool already_ = false;
  char slot_ = 0;
};

}  // namespace

int slot_install(const SlotOptions& options) {
  Error error;
  Slots slots;
  Lock lock;
  if (!read_slots(options.state, &slots, &error) || !lock.take(options.state + "/lock", &error)) return report(error);
  read_slots(options.state, &slots, &error);  // whoever held the lock may have changed it
  Install install(options, &slots);
  if (!install.verified(&error)) {
    remember(slots, "refused", 0, install.manifest(), error.message);
    return report(error);
  }
  bool failed = false;
  if (!install.already_active() && (!install.written(&error) || !install.tested(&error, &failed) || !install.flipped(&error))) {
    install.clean();
    remember(slots, "refused", 0, install.manifest(), error.message);
    report(error);
    return failed ? 1 : 2;
  }
  const char slot = install.already_active() ? slots.active : install.slot();
  JsonLine line;
  line.text("slot", {&slot, 1}).text("name", install.manifest().name).count("version", install.manifest().version);
  line.flag("already_active", install.already_active());
  std::fputs(std::string(line.finish()).c_str(), stdout);
  return 0;
}

}  // namespace sanderling::tool
