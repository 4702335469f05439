// Text encoders: the same bits on every tier, no heap after opening, any bytes as text, and files that are refused.
#include "text/text.h"

#include <cmath>
#include <cstring>

#include "allocations.h"
#include "check.h"
#include "model_bytes.h"
#include "text/unicode.h"

using namespace sanderling;

namespace {

constexpr const char* texts[] = {
    "the pump is pumping: error 42!", "", "  \t ", "Caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac [SEP] \xf0\x9f\x98\x80", "a\xff\xc3 b\xed\xa0\x80",
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen",
};

TextEncoder* open_text(const TextShape& shape, const char* isa, Error* error = nullptr) {
  const Bytes bytes = random_text(shape, 7).finish();
  return text_parse(bytes.data(), bytes.size(), isa, 0, error);
}

std::vector<float> rows_of(const TextShape& shape, const char* isa) {
  TextEncoder* encoder = open_text(shape, isa);
  std::vector<float> rows(std::size(texts) * shape.d);
  for (std::size_t i = 0; i < std::size(texts); ++i) text_encode(encoder, texts[i], std::strlen(texts[i]), rows.data() + i * shape.d);
  text_close(encoder);
  return rows;
}

struct Pinned {
  TextShape shape;
  std::uint64_t hash;
};

const Pinned pinned[] = {
    {{}, 0xe757cc3963ae4d24u},
    {{64, 64, 48, 0, 1, 1, 32, "cls"}, 0xe8b9bd9788b1e79bu},
    {{48, 16, 32, 0, 3, 2, 64, "mean"}, 0x485002c5dd047661u},
    {{32, 32, 40, 3, 2, 1, 48, "mean"}, 0xba8cf158a2991ad0u},
};

void same_bits(const char* isa) {
  for (const Pinned& kind : pinned) {
    const std::vector<float> rows = rows_of(kind.shape, isa);
    for (const float x : rows) CHECK(std::isfinite(x));
    if (!CHECK(hash_floats(rows.data(), rows.size()) == kind.hash))
      std::fprintf(stderr, "  not 0x%016llx but 0x%016llx\n", static_cast<unsigned long long>(kind.hash), static_cast<unsigned long long>(hash_floats(rows.data(), rows.size())));
  }
}

void tokens() {
  TextEncoder* encoder = open_text({}, "reference");
  std::uint32_t ids[48];
  const auto is = [&](const char* text, std::size_t n, std::vector<const char*> expected) {
    const std::size_t count = text_tokenize(encoder, text, n, ids);
    bool same = count == expected.size() + 2 && ids[0] == 2 && ids[count - 1] == 3;
    for (std::size_t i = 0; same && i < expected.size(); ++i) {
      std::size_t bytes = 0;
      const char* token = text_token(encoder, ids[i + 1], &bytes);
      same = std::string(token, bytes) == expected[i];
    }
    return same;
  };
  CHECK(is("The PUMP", 8, {"the", "pump"}));
  CHECK(is("pumping!", 8, {"pump", "##ing", "!"}));
  CHECK(is("a\0b", 3, {"a", "##b"}));
  CHECK(is("ab-c", 4, {"a", "##b", "[UNK]", "c"}));
  CHECK(is("\xc3\x89", 2, {"e"}));
  CHECK(is("[CLS]x[MASK]", 12, {"[CLS]", "x", "[MASK]"}));
  CHECK(is("", 0, {}));
  const std::string longest(100, 'a'), longer(101, 'a');
  CHECK(text_tokenize(encoder, longest.data(), longest.size(), ids) == 48 && ids[1] != 1);
  CHECK(is(longer.data(), longer.size(), {"[UNK]"}));
  std::size_t bytes = 0;
  CHECK(text_token(encoder, 1 << 20, &bytes) == nullptr);
  text_close(encoder);
}

void characters() {
  // Every character comes back from UTF-8, and nothing else does.
  for (char32_t c = 0; c < 0x110000; ++c) {
    unsigned char text[4];
    const std::size_t n = write_utf8(c, text);
    const unsigned char* at = text;
    const bool surrogate = c >= 0xd800 && c < 0xe000;
    const char32_t back = read_utf8(&at, text + n);
    if (surrogate ? back != 0xfffd : back != c || at != text + n) CHECK(!"UTF-8");
    char32_t base[3];
    if (base_characters(c, base) > 3) CHECK(!"base");
  }
  CHECK(lower_case(U'Ä') == U'ä' && lower_case(0x130) == U'i' && lower_case(U'ß') == U'ß');
}

void no_heap() {
  TextEncoder* encoder = open_text({}, nullptr);
  float out[64];
  counting = true;
  for (const char* text : texts) text_encode(encoder, text, std::strlen(text), out);
  counting = false;
  CHECK(allocations == 0);
  text_close(encoder);
}

bool refused(const Error& error, Status status, const char* part) {
  return error.status == status && std::strstr(error.message, part) != nullptr && std::strstr(error.message, "expected") != nullptr;
}

void refusals() {
  const auto is_refused = [](const ModelBytes& model, const char* part, Status status = Status::model_format) {
    const Bytes bytes = model.finish();
    Error error;
    TextEncoder* encoder = text_parse(bytes.data(), bytes.size(), "reference", 0, &error);
    text_close(encoder);
    return encoder == nullptr && refused(error, status, part);
  };
  const auto changed = [](const char* name, const Bytes& entry) {
    ModelBytes model = random_text({}, 7);
    *model.key(name) = entry;
    return model;
  };
  const std::string s = "sanderling.text.";
  CHECK(is_refused(changed("sanderling.text.pooling", key_string(s + "pooling", "max")), "mean or cls"));
  CHECK(is_refused(changed("sanderling.text.tokenizer", key_string(s + "tokenizer", "0123456789abcdef")), "tokenizer"));
  CHECK(is_refused(changed("sanderling.text.lowercase", key_u32(s + "lowercase", 0)), "tokenizer"));
  CHECK(is_refused(changed("sanderling.text.max_tokens", key_u32(s + "max_tokens", 49)), "48"));
  CHECK(is_refused(changed("sanderling.text.window", key_u32(s + "window", 5000)), "window"));
  CHECK(is_refused(changed("sanderling.text.normalise", key_u32(s + "normalise", 2)), "normalise"));
  CHECK(is_refused(changed("sanderling.text.eps", key_f32(s + "eps", 0.0f)), "eps"));
  CHECK(is_refused(changed("sanderling.text.d_model", key_u32(s + "d_model", 80)), "token_embd.weight"));
  CHECK(is_refused(changed("sanderling.version", key_u32("sanderling.version", 2)), "version", Status::model_version));
  CHECK(is_refused(changed("tokenizer.ggml.model", key_string("tokenizer.ggml.model", "gpt2")), "bert"));
  CHECK(is_refused(changed("tokenizer.ggml.cls_token_id", key_u32("tokenizer.ggml.cls_token_id", 1000)), "below"));
  CHECK(is_refused(changed("tokenizer.ggml.tokens", key_array("tokenizer.ggml.tokens", 8, 0, {})), "tokenizer.ggml.tokens"));
  ModelBytes more = random_text({}, 7);
  more.tensors.push_back({"more", 0, {1}, Bytes(4)});
  CHECK(is_refused(more, "tensors"));
  more = random_text({}, 7);
  more.keys.push_back(key_u32(s + "unknown", 1));
  CHECK(is_refused(more, "unknown"));
  more = random_text({}, 7);
  more.tensor("token_embd.weight")->data[5] = 0x80;
  CHECK(is_refused(more, "-128"));
  CHECK(is_refused(random_model({}, 1), "model of signals"));

  const Bytes bytes = random_text({}, 7).finish();
  Error error;
  Model* model = model_parse(bytes.data(), bytes.size(), nullptr, &error);
  CHECK(model == nullptr && refused(error, Status::model_format, "text encoder"));
  for (const std::uint32_t most : {1u, 49u})
    CHECK(text_parse(bytes.data(), bytes.size(), nullptr, most, &error) == nullptr && refused(error, Status::argument, "max_tokens"));
  CHECK(text_open("no such file", nullptr, 0, &error) == nullptr && refused(error, Status::io, "no such file"));

  TextEncoder* encoder = open_text({}, "reference");
  float out[64];
  const std::uint32_t beyond[] = {1u << 20};
  CHECK(!text_embed(encoder, beyond, 1, out, &error) && refused(error, Status::argument, "ids below"));
  CHECK(!text_embed(encoder, beyond, 0, out, &error) && refused(error, Status::argument, "tokens"));
  CHECK(!text_embed(encoder, beyond, 49, out, &error) && refused(error, Status::argument, "tokens"));
  text_close(encoder);
}

// Every cut of a file is refused, and no cut is read beyond its end (ASan looks).
void cuts() {
  const Bytes bytes = random_text({32, 32, 8, 0, 1, 1, 16, "mean"}, 7).finish();
  for (std::size_t n = 0; n < bytes.size(); n += n < 3000 ? 1 : 97) {
    const Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    Error error;
    TextEncoder* encoder = text_parse(cut.data(), n, "reference", 0, &error);
    if (encoder != nullptr) CHECK(!"a cut file was accepted");
    text_close(encoder);
  }
}

}  // namespace

int main() {
  tokens();
  characters();
  no_heap();
  refusals();
  cuts();
  return check::report("any") | check::on_each_tier(same_bits);
}
