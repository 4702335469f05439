// Text detectors: the same bits on every tier, no heap after opening, and files whose parts don't fit are refused. Equality with Python
// is tests/text/test_native.py's.
#include "text/detector.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

#include "allocations.h"
#include "check.h"
#include "model_bytes.h"
#include "text/clean.h"
#include "text/unicode.h"
#include "text/words.h"

using namespace sanderling;

namespace {

constexpr std::uint64_t n_texts = 40;

constexpr const char* texts[] = {
    "the pump is pumping: error 42!", "", "  \t ", "Caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac [SEP] \xf0\x9f\x98\x80", "a\xff\xc3 b\xed\xa0\x80",
    "URGENT!!! \xc2\xa3 100% one One ONE \xce\xa3\xce\x91\xce\xa3",
};

template <typename T>
void put(Bytes* out, T value) {
  const auto* p = reinterpret_cast<const std::uint8_t*>(&value);
  out->insert(out->end(), p, p + sizeof value);
}

template <typename T, typename Value>
TensorBytes tensor(const std::string& name, std::uint32_t type, const std::vector<std::uint64_t>& shape, Value value) {
  TensorBytes t{"views." + name, type, shape, {}};
  std::uint64_t n = 1;
  for (const std::uint64_t size : shape) n *= size;
  for (std::uint64_t i = 0; i < n; ++i) put<T>(&t.data, static_cast<T>(value(i)));
  return t;
}

Bytes key_f64(const std::string& name, double value) {
  Bytes out;
  put<std::uint64_t>(&out, name.size());
  out.insert(out.end(), name.begin(), name.end());
  put<std::uint32_t>(&out, 12);
  put(&out, value);
  return out;
}

// What a detector is made of: views over random numbers behind an encoder, or alone; with few labels its head.
struct Kind {
  bool encoder, head;
};

constexpr Kind kinds[] = {{true, false}, {false, false}, {true, true}};

ModelBytes random_detector(const Kind& kind) {
  const bool encoder = kind.encoder;
  const TextShape shape;
  ModelBytes m;
  if (encoder) m = random_text(shape, 7);
  else m.keys = {key_string("general.architecture", "sanderling"), key_u32("sanderling.version", 1)};
  Random random{11};
  const auto uniform = [&](std::uint64_t) { return static_cast<double>(random.uniform()); };
  const std::string views = "sanderling.text.views.";
  m.keys.push_back(key_f64(views + "threshold", 9.5));
  for (const char* const view : {"meaning", "characters", "words", "look"}) {
    if (!encoder && std::strcmp(view, "meaning") == 0) continue;
    m.keys.push_back(key_f64(views + view + ".start", 0.75));
    m.keys.push_back(key_f64(views + view + ".excess", 0.125));
    m.tensors.push_back(tensor<std::int32_t>(std::string(view) + ".reference", 26, {n_texts}, [](std::uint64_t i) { return 40000 * i; }));
  }
  for (int j = 0; j < 5; ++j) {
    const std::string at = "characters." + std::to_string(j) + ".";
    // Order 0 knows the context of no character; the others' hashes are nobody's.
    const auto context = [j](std::uint64_t i) { return j == 0 ? hash_seed : (i + 1) * 1000003u; };
    const std::uint64_t contexts = j == 0 ? 1 : 9;
    m.tensors.push_back(tensor<std::uint64_t>(at + "grams", 27, {21}, [](std::uint64_t i) { return i * 700000001u; }));
    m.tensors.push_back(tensor<std::int32_t>(at + "count", 26, {21}, [](std::uint64_t i) { return 1 + i % 5; }));
    m.tensors.push_back(tensor<std::uint64_t>(at + "contexts", 27, {contexts}, context));
    m.tensors.push_back(tensor<std::int32_t>(at + "total", 26, {contexts}, [](std::uint64_t i) { return 7 + i; }));
    m.tensors.push_back(tensor<std::int32_t>(at + "distinct", 26, {contexts}, [](std::uint64_t i) { return 1 + i % 3; }));
  }
  // Words of the texts among others that are nobody's, each in two reference texts.
  std::vector<std::uint64_t> known = {1, 2, 3};
  for (const char* word : {"the", "pump", "error", "00", ":", "one", "!"}) {
    std::uint64_t hash = hash_seed;
    for (const char* c = word; *c != 0; ++c) hash = mix_hash(hash, static_cast<unsigned char>(*c));
    known.push_back(hash);
  }
  std::sort(known.begin(), known.end());
  const std::uint64_t n_words = known.size();
  m.tensors.push_back(tensor<std::uint64_t>("words.hash", 27, {n_words}, [&](std::uint64_t i) { return known[i]; }));
  m.tensors.push_back(tensor<double>("words.idf", 28, {n_words}, [&](std::uint64_t i) { return 1.0 + uniform(i); }));
  m.tensors.push_back(tensor<std::int32_t>("words.start", 26, {n_words + 1}, [](std::uint64_t i) { return 2 * i; }));
  m.tensors.push_back(tensor<std::int32_t>("words.text", 26, {2 * n_words}, [](std::uint64_t i) { return (i / 2) % 3 + i % 2 * 20; }));
  m.tensors.push_back(tensor<float>("words.weight", 0, {2 * n_words}, [](std::uint64_t i) { return 0.125 + 0.03125 * static_cast<double>(i); }));
  m.tensors.push_back(tensor<double>("look.centre", 28, {16}, uniform));
  m.tensors.push_back(tensor<double>("look.spread", 28, {16}, [&](std::uint64_t i) { return 1.5 + uniform(i); }));
  m.tensors.push_back(tensor<double>("look.memory", 28, {n_texts, 16}, uniform));
  if (encoder) {
    m.tensors.push_back(tensor<float>("meaning.metric", 0, {shape.d, shape.d}, uniform));
    m.tensors.push_back(tensor<float>("meaning.memory", 0, {n_texts, shape.d}, uniform));
  }
  if (kind.head) {
    const auto inner = static_cast<std::uint64_t>(shape.layers - 1);
    m.keys.push_back(key_f64(views + "head.bias", 0.25));
    m.tensors.push_back(tensor<double>("head.inner", 28, {inner, shape.d}, uniform));
    m.tensors.push_back(tensor<double>("head.weight", 28, {4 + 16 + (1 + inner) * shape.d}, uniform));
    m.tensors.push_back(tensor<float>("head.normal", 0, {n_texts, shape.d}, uniform));
    m.tensors.push_back(tensor<float>("head.anomalous", 0, {5, shape.d}, uniform));
  }
  return m;
}

TextDetector* parse(const ModelBytes& model, const char* isa, Error* error) {
  const Bytes bytes = model.finish();
  return text_detector_parse(bytes.data(), bytes.size(), isa, 0, error);
}

void same_bits(const char* isa) {
  const std::uint64_t pinned[] = {0x508067ab7b7f8ce5u, 0x76f6e3cc65278db9u, 0x63fab3b516460e41u};
  for (std::size_t i = 0; i < std::size(kinds); ++i) {
    Error error;
    TextDetector* detector = parse(random_detector(kinds[i]), isa, &error);
    if (!CHECK(detector != nullptr)) return;
    std::vector<double> found;
    for (const char* text : texts) {
      TextScore score;
      text_score(detector, text, std::strlen(text), &score);
      CHECK(std::isfinite(score.score) && score.score * 1048576.0 == std::nearbyint(score.score * 1048576.0));
      found.insert(found.end(), {score.score, score.nats[0], score.nats[1], score.nats[2], score.nats[3]});
    }
    text_detector_close(detector);
    std::vector<float> bits(2 * found.size());
    std::memcpy(bits.data(), found.data(), found.size() * sizeof(double));
    if (!CHECK(hash_floats(bits.data(), bits.size()) == pinned[i]))
      std::fprintf(stderr, "  hash 0x%016llx\n", static_cast<unsigned long long>(hash_floats(bits.data(), bits.size())));
  }
}

void cleaned() {
  const auto is = [](const std::string& text, const std::string& wanted) {
    static char32_t characters[cleaned_characters];
    std::string found;
    const std::size_t n = clean_text(text.data(), text.size(), characters);
    for (std::size_t i = 0; i < n; ++i) {
      unsigned char bytes[4];
      found.append(reinterpret_cast<const char*>(bytes), write_utf8(characters[i], bytes));
    }
    return found == wanted;
  };
  CHECK(is("", ""));
  CHECK(is(" a\x01\r\n\tb ", "a b"));
  CHECK(is("\xff x\xe2\x80\x8b y\xc2\xa0", "x y"));
  const std::string most(4095, 'a');
  CHECK(is(most + " b", most));
  CHECK(is(most + "bc", most + "b"));
  CHECK(is(std::string(16384, ' ') + "x", ""));
}

void no_heap() {
  Error error;
  TextDetector* detector = parse(random_detector({true, true}), nullptr, &error);
  if (!CHECK(detector != nullptr)) return;
  TextScore score;
  counting = true;
  for (const char* text : texts) text_score(detector, text, std::strlen(text), &score);
  counting = false;
  CHECK(allocations == 0);
  text_detector_close(detector);
}

void refusals() {
  const auto is_refused = [](const ModelBytes& model, const char* part) {
    Error error;
    TextDetector* detector = parse(model, "reference", &error);
    text_detector_close(detector);
    return detector == nullptr && error.status == Status::model_format && std::strstr(error.message, part) != nullptr;
  };
  for (const Kind& kind : kinds) {
    const ModelBytes good = random_detector(kind);
    for (std::size_t i = 0; i < good.tensors.size(); ++i) {
      if (good.tensors[i].name.compare(0, 6, "views.") != 0) continue;
      ModelBytes model = good;
      model.tensors.erase(model.tensors.begin() + static_cast<std::ptrdiff_t>(i));
      const bool optional = good.tensors[i].name == "views.head.inner";  // the weights are too many without it
      CHECK(is_refused(model, optional ? "views.head.weight" : good.tensors[i].name.c_str()));
      model = good;
      model.tensors[i].type = model.tensors[i].type == 26 ? 0 : model.tensors[i].type == 0 ? 26 : model.tensors[i].type == 27 ? 28 : 27;
      CHECK(is_refused(model, good.tensors[i].name.c_str()));
    }
    ModelBytes model = good;
    model.tensors.push_back(tensor<float>("more", 0, {1}, [](std::uint64_t) { return 0; }));
    CHECK(is_refused(model, "of the views"));
    model = good;
    model.keys.push_back(key_f64("sanderling.text.views.more", 0.0));
    CHECK(is_refused(model, "of the views"));
    model = good;
    model.keys.push_back(key_string("sanderling.text.views.masks", "ip,names"));
    CHECK(is_refused(model, "ip,names"));
    model = good;
    model.tensors.push_back(tensor<std::int8_t>("texts", 24, {9}, [](std::uint64_t i) { return i; }));
    Error error;
    TextDetector* const with_texts = parse(model, "reference", &error);
    CHECK(with_texts != nullptr);
    text_detector_close(with_texts);
    model = good;
    *model.key("sanderling.text.views.threshold") = key_f64("sanderling.text.views.threshold", NAN);
    CHECK(is_refused(model, "threshold"));
  }
  CHECK(is_refused(random_text({}, 7), "calibrated text detector"));
  CHECK(is_refused(random_model({}, 1), "calibrated text detector"));
}

}  // namespace

int main() {
  cleaned();
  no_heap();
  refusals();
  return check::report("any") | check::on_each_tier(same_bits);
}
