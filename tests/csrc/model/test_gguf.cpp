// The loader against files that an enemy wrote. Every attack must end in a typed error; whatever still opens must score.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "check.h"
#include "model/engine.h"
#include "model_bytes.h"

using namespace sanderling;

namespace {

// The smallest of everything, so that tens of thousands of files can be tried.
Shape smallest() {
  Shape shape;
  shape.d = 16;
  shape.scorer = 16;
  shape.graph_heads = 1;
  shape.levels = 1;
  shape.heads = {1};
  shape.ffn = {16};
  return shape;
}

const ModelBytes& base() {
  static const ModelBytes model = random_model(smallest(), 3);
  return model;
}

bool one_line(const char* text) {
  const std::size_t n = std::strlen(text);
  return n > 20 && std::strchr(text, '\n') == nullptr;
}

// ok, or the status of the refusal.
Status open_bytes(const Bytes& bytes) {
  // A copy of the exact size: a read beyond the end is seen by ASan.
  std::uint8_t* exact = new std::uint8_t[bytes.size() + (bytes.empty() ? 1 : 0)];
  std::copy(bytes.begin(), bytes.end(), exact);
  Error error;
  Model* model = model_parse(exact, bytes.size(), nullptr, &error);
  delete[] exact;
  if (model == nullptr) {
    CHECK(error.status != Status::ok && one_line(error.message));
    return error.status;
  }
  model_close(model);
  return Status::ok;
}

Status spoilt(const std::function<void(ModelBytes*)>& spoil) {
  ModelBytes model = base();
  spoil(&model);
  return open_bytes(model.finish());
}

void truncated_everywhere() {
  const Bytes whole = base().finish();
  CHECK(open_bytes(whole) == Status::ok);
  // Each length in the header, then a coarser step: the data's length is checked once for each tensor.
  const std::size_t header = base().header_size();
  for (std::size_t n = 0; n < whole.size(); n += n < header ? 1 : 7) {
    // The last tensor's padding may be missing.
    if (n + 32 > whole.size()) break;
    CHECK(open_bytes(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n))) == Status::model_format);
  }
}

void flipped_bits() {
  Bytes bytes = base().finish();
  const std::size_t header = base().header_size();
  std::size_t opened = 0;
  for (std::size_t i = 0; i < header; ++i)
    for (int bit = 0; bit < 8; ++bit) {
      bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ (1u << bit));
      opened += open_bytes(bytes) == Status::ok ? 1u : 0u;
      bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ (1u << bit));
    }
  // Some flips give another valid model (a letter of the variant, top_k, max_gap, tau, ...); most must not.
  CHECK(opened > 10 && opened < header * 8 / 10);
}

void random_bytes() {
  const Bytes whole = base().finish();
  Random random{11};
  for (int i = 0; i < 2000; ++i) {
    Bytes bytes = whole;
    for (std::uint32_t k = 1 + random.below(8); k > 0; --k) bytes[random.below(static_cast<std::uint32_t>(bytes.size()))] = static_cast<std::uint8_t>(random.bits());
    open_bytes(bytes);
  }
  for (std::size_t n : {0u, 1u, 3u, 4u, 23u, 24u, 4096u}) {
    Bytes bytes(n);
    for (std::uint8_t& b : bytes) b = static_cast<std::uint8_t>(random.bits());
    CHECK(open_bytes(bytes) == Status::model_format);
  }
}

void append(Bytes* out, std::uint64_t value) {
  const auto* p = reinterpret_cast<const std::uint8_t*>(&value);
  out->insert(out->end(), p, p + sizeof value);
}

void set_float(TensorBytes* tensor, std::size_t i, float value) { std::memcpy(tensor->data.data() + 4 * i, &value, 4); }

void attacks() {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const std::uint64_t huge = std::uint64_t{1} << 62;
  const struct {
    const char* name;
    Status status;
    std::function<void(ModelBytes*)> spoil;
  } list[] = {
      {"GGUF 2", Status::model_format, [](ModelBytes* m) { m->version = 2; }},
      {"schema 2", Status::model_version, [](ModelBytes* m) { *m->key("sanderling.version") = key_u32("sanderling.version", 2); }},
      {"no schema", Status::model_format, [](ModelBytes* m) { *m->key("sanderling.version") = key_u32("general.x", 2); }},
      {"other architecture", Status::model_format,
       [](ModelBytes* m) { *m->key("general.architecture") = key_string("general.architecture", "llama"); }},
      {"longer architecture", Status::model_format,
       [](ModelBytes* m) { *m->key("general.architecture") = key_string("general.architecture", "sanderling2"); }},
      {"alignment 64", Status::model_format, [](ModelBytes* m) { m->keys.push_back(key_u32("general.alignment", 64)); }},
      {"unknown key", Status::model_format, [](ModelBytes* m) { m->keys.push_back(key_u32("sanderling.later", 1)); }},
      {"foreign key", Status::model_format, [](ModelBytes* m) { m->keys.push_back(key_u32("llama.block_count", 1)); }},
      {"prefix only", Status::model_format, [](ModelBytes* m) { m->keys.push_back(key_u32("sanderling.", 1)); }},
      {"key twice", Status::model_format, [](ModelBytes* m) { m->keys.push_back(key_u32("sanderling.top_k", 1)); }},
      {"general key twice", Status::model_format,
       [](ModelBytes* m) { m->keys.push_back(key_string("general.architecture", "sanderling")); }},
      {"key missing", Status::model_format, [](ModelBytes* m) { m->keys.pop_back(); }},
      {"key of another type", Status::model_format, [](ModelBytes* m) { *m->key("sanderling.top_k") = key_f32("sanderling.top_k", 3); }},
      {"64-byte key", Status::model_format, [](ModelBytes* m) { m->keys.push_back(key_u32("general." + std::string(56, 'k'), 1)); }},
      {"empty key", Status::model_format, [](ModelBytes* m) { m->keys.push_back(key_u32("", 1)); }},
      {"zero byte in a key", Status::model_format, [](ModelBytes* m) { m->keys.push_back(key_u32(std::string("general.a\0b", 11), 1)); }},
      {"257 keys", Status::model_format,
       [](ModelBytes* m) { for (int i = 0; i < 257; ++i) m->keys.push_back(key_u32("general." + std::to_string(i), 1)); }},
      {"nested array", Status::model_format, [](ModelBytes* m) { m->keys.push_back(key_array("general.x", 9, 1, Bytes(64))); }},
      {"endless array", Status::model_format, [=](ModelBytes* m) { m->keys.push_back(key_array("general.x", 10, huge, Bytes(64))); }},
      {"endless strings", Status::model_format, [=](ModelBytes* m) { m->keys.push_back(key_array("general.x", 8, huge, Bytes(64))); }},
      {"string beyond the end", Status::model_format,
       [](ModelBytes* m) { Bytes items; append(&items, ~std::uint64_t{0}); m->keys.push_back(key_array("general.x", 8, 1, items)); }},
      {"patch 16", Status::model_format, [](ModelBytes* m) { *m->key("sanderling.patch") = key_u32("sanderling.patch", 16); }},
      {"d_model 0", Status::model_format, [](ModelBytes* m) { *m->key("sanderling.d_model") = key_u32("sanderling.d_model", 0); }},
      {"d_model 24", Status::model_format, [](ModelBytes* m) { *m->key("sanderling.d_model") = key_u32("sanderling.d_model", 24); }},
      {"d_model 32 of 16", Status::model_format, [](ModelBytes* m) { *m->key("sanderling.d_model") = key_u32("sanderling.d_model", 32); }},
      {"d_model 2^31", Status::model_format, [](ModelBytes* m) { *m->key("sanderling.d_model") = key_u32("sanderling.d_model", 1u << 31); }},
      {"levels 9", Status::model_format, [](ModelBytes* m) { *m->key("sanderling.levels") = key_u32("sanderling.levels", 9); }},
      {"smooth 0", Status::model_format, [](ModelBytes* m) { *m->key("sanderling.smooth") = key_u32("sanderling.smooth", 0); }},
      {"top_k 0", Status::model_format, [](ModelBytes* m) { *m->key("sanderling.top_k") = key_u32("sanderling.top_k", 0); }},
      {"cold 8", Status::model_format, [](ModelBytes* m) { *m->key("sanderling.cold_samples") = key_u32("sanderling.cold_samples", 8); }},
      {"cold 511", Status::model_format, [](ModelBytes* m) { *m->key("sanderling.cold_samples") = key_u32("sanderling.cold_samples", 511); }},
      {"tau 0", Status::model_format, [](ModelBytes* m) { *m->key("sanderling.metric_tau") = key_f32("sanderling.metric_tau", 0); }},
      {"tau NaN", Status::model_format, [=](ModelBytes* m) { *m->key("sanderling.raw_tau") = key_f32("sanderling.raw_tau", nan); }},
      {"clip inf", Status::model_format, [=](ModelBytes* m) { *m->key("sanderling.clip") = key_f32("sanderling.clip", inf); }},
      {"no layers", Status::model_format, [](ModelBytes* m) { *m->key("sanderling.ffn") = key_array("sanderling.ffn", 5, 0, {}); }},
      {"33 layers", Status::model_format,
       [](ModelBytes* m) { *m->key("sanderling.n_heads") = key_array("sanderling.n_heads", 5, 33, Bytes(132, 1)); }},
      {"negative heads", Status::model_format,
       [](ModelBytes* m) { *m->key("sanderling.n_heads") = key_array("sanderling.n_heads", 5, 1, Bytes(4, 255)); }},
      {"two ffn, one n_heads", Status::model_format,
       [](ModelBytes* m) { *m->key("sanderling.ffn") = key_array("sanderling.ffn", 5, 2, {16, 0, 0, 0, 16, 0, 0, 0}); }},
      {"variant of 64 bytes", Status::model_format,
       [](ModelBytes* m) { *m->key("sanderling.variant") = key_string("sanderling.variant", std::string(64, 'v')); }},
      {"variant not text", Status::model_format,
       [](ModelBytes* m) { *m->key("sanderling.variant") = key_string("sanderling.variant", "\xff\xfe"); }},
      {"lineage not a string", Status::model_format, [](ModelBytes* m) { m->keys.push_back(key_u32("sanderling.lineage.plan", 1)); }},
      {"calibration incomplete", Status::model_format, [](ModelBytes* m) { m->keys.push_back(key_u32("sanderling.cal.channels", 1)); }},
      {"calibration tensors without keys", Status::model_format,
       [](ModelBytes* m) { m->tensors.push_back({"cal.location", 0, {1}, Bytes(4)}); }},
      {"tensor missing", Status::model_format, [](ModelBytes* m) { m->tensors.erase(m->tensors.begin() + 5); }},
      {"no tensors", Status::model_format, [](ModelBytes* m) { m->tensors.clear(); }},
      {"tensor twice", Status::model_format, [](ModelBytes* m) { m->tensors.push_back(m->tensors[2]); }},
      {"tensor unknown", Status::model_format, [](ModelBytes* m) { m->tensors.push_back({"later.weight", 0, {1}, Bytes(4)}); }},
      {"64-byte tensor name", Status::model_format, [](ModelBytes* m) { m->tensors[1].name = std::string(64, 't'); }},
      {"tensor of F16", Status::model_format, [](ModelBytes* m) { m->tensor("norm.bias")->type = 1; }},
      {"weights as I32", Status::model_format, [](ModelBytes* m) { m->tensor("norm.bias")->type = 26; }},
      {"shape turned", Status::model_format, [](ModelBytes* m) { m->tensor("head.weight")->shape = {17, 16}; }},
      {"rank 0", Status::model_format, [](ModelBytes* m) { m->tensor("norm.bias")->shape = {}; }},
      {"rank 5", Status::model_format, [](ModelBytes* m) { m->tensor("norm.bias")->shape = {16, 1, 1, 1, 1}; }},
      {"rank 2 for 1", Status::model_format, [](ModelBytes* m) { m->tensor("norm.bias")->shape = {16, 1}; }},
      {"dimension 0", Status::model_format, [](ModelBytes* m) { m->tensor("norm.bias")->shape = {0, 16}; }},
      {"size wraps to 64 bytes", Status::model_format, [=](ModelBytes* m) { m->tensor("norm.bias")->shape = {huge + 16}; }},
      {"product wraps", Status::model_format, [](ModelBytes* m) { m->tensor("norm.bias")->shape = {1u << 31, 1u << 31, 1u << 31, 16}; }},
      {"1 tap", Status::model_format,
       [](ModelBytes* m) { m->tensor("wavelet.taps")->shape = {1}; m->tensor("wavelet.taps")->data.resize(4); }},
      {"9 taps", Status::model_format,
       [](ModelBytes* m) { m->tensor("wavelet.taps")->shape = {9}; m->tensor("wavelet.taps")->data.resize(36); }},
      {"weight -128", Status::model_format, [](ModelBytes* m) { m->tensor("metric.weight")->data[77] = 0x80; }},
      {"weight NaN", Status::model_format, [=](ModelBytes* m) { set_float(m->tensor("embed.weight"), 9, nan); }},
      {"weight -inf", Status::model_format, [=](ModelBytes* m) { set_float(m->tensor("head.bias"), 16, -inf); }},
      {"weight 1e38", Status::model_format, [](ModelBytes* m) { set_float(m->tensor("fusion.weight"), 7, 1e38f); }},
      {"scale negative", Status::model_format, [](ModelBytes* m) { set_float(m->tensor("metric.scale"), 0, -0.1f); }},
  };
  for (const auto& attack : list) {
    const Status status = spoilt(attack.spoil);
    if (!CHECK(status == attack.status)) std::fprintf(stderr, "  %s: status %d\n", attack.name, static_cast<int>(status));
  }
}

// What the container carries beside the model is read past, whatever its type.
void general_keys_are_ignored() {
  CHECK(spoilt([](ModelBytes* m) {
          m->keys.push_back(key_string("general.name", "\xff\x01 anything"));
          m->keys.push_back(key_array("general.tags", 8, 2, {1, 0, 0, 0, 0, 0, 0, 0, 'a', 0, 0, 0, 0, 0, 0, 0, 0}));
          m->keys.push_back(key_array("general.numbers", 12, 3, Bytes(24)));
          m->keys.push_back(key_u32("general.alignment", 32));
        }) == Status::ok);
}

// Offsets, gaps and ends are not expressible in ModelBytes: spoil the finished bytes.
void layout() {
  const Bytes whole = base().finish();
  const std::size_t header = base().header_size();
  Bytes bytes = whole;
  bytes.insert(bytes.end(), 32, 0);
  CHECK(open_bytes(bytes) == Status::model_format);   // more than the last tensor's padding
  bytes = whole;
  bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(header), 32, 0);
  CHECK(open_bytes(bytes) == Status::model_format);   // a hole before the data
  bytes = whole;
  bytes[header + 8] = 1;                              // wavelet.taps takes 8 bytes: this is padding
  CHECK(open_bytes(bytes) == Status::model_format);
  // The offset of the second tensor, the last field of its info, moved onto the first one and past a hole.
  const std::string name = "embed.weight";
  for (std::size_t i = 0; i + name.size() < header; ++i) {
    if (std::memcmp(whole.data() + i, name.data(), name.size()) != 0) continue;
    const std::size_t offset = i + name.size() + 4 + 2 * 8 + 4;
    for (const std::uint8_t value : {0, 1, 31, 33, 64}) {
      bytes = whole;
      bytes[offset] = value;
      CHECK(open_bytes(bytes) == Status::model_format);
    }
    return;
  }
  CHECK(false);
}

// The largest weights that the loader admits must not bring a NaN or an infinity into a kernel (UBSan sees the conversion).
void largest_weights_stay_finite() {
  ModelBytes model = base();
  Random random{5};
  for (TensorBytes& t : model.tensors) {
    if (t.type != 0) continue;
    const bool taps = t.name == "wavelet.taps", scale = t.name.find(".scale") != std::string::npos;
    for (std::size_t i = 0; i < t.data.size() / 4; ++i)
      set_float(&t, i, taps ? 16.0f : scale || random.below(2) == 0 ? 1e4f : -1e4f);
  }
  Error error;
  const Bytes bytes = model.finish();
  Model* opened = model_parse(bytes.data(), bytes.size(), nullptr, &error);
  if (!CHECK(opened != nullptr)) return;
  const std::vector<float> x = recording(1024, 2, 4, true);
  Stream* stream = stream_open(opened, 2, {}, &error);
  std::vector<float> score(1024);
  Scores out;
  out.score = score.data();
  out.capacity = score.size();
  CHECK(stream_update(stream, x.data(), 1024, &out, &error));
  std::size_t wild = 0;
  for (const float s : score) wild += std::isinf(s) || s < 0.0f ? 1u : 0u;
  CHECK(wild == 0);
  stream_close(stream);
  model_close(opened);
}

void files() {
  Error error;
  CHECK(model_open("no/such/model.gguf", nullptr, &error) == nullptr && error.status == Status::io && one_line(error.message));
  CHECK(model_open(".", nullptr, &error) == nullptr && error.status == Status::io);
  CHECK(model_open(nullptr, nullptr, &error) == nullptr && error.status == Status::argument);
  CHECK(model_open("no/such/\xff\n.gguf", nullptr, &error) == nullptr && std::strchr(error.message, '\n') == nullptr &&
        std::strchr(error.message, '\xff') == nullptr);
  CHECK(model_parse(nullptr, 0, nullptr, nullptr) == nullptr);
  const Bytes whole = base().finish();
  CHECK(model_parse(whole.data(), whole.size(), "avx1024", &error) == nullptr && error.status == Status::isa &&
        std::strstr(error.message, "reference") != nullptr);
}

}  // namespace

int main() {
  truncated_everywhere();
  flipped_bits();
  random_bytes();
  attacks();
  general_keys_are_ignored();
  layout();
  largest_weights_stay_finite();
  files();
  return check::report("any");
}
