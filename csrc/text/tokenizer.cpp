#include "tokenizer.h"

#include <algorithm>
#include <cstring>

namespace sanderling {
namespace {

constexpr std::uint64_t fnv_start = 0xcbf29ce484222325u, fnv_prime = 0x100000001b3u;
constexpr char continuing[] = "##";
constexpr std::uint32_t none = 0xffffffffu;
constexpr std::uint64_t max_token_bytes = 512;

std::uint64_t fnv(std::uint64_t hash, const void* data, std::size_t n) {
  const auto* p = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < n; ++i) hash = (hash ^ p[i]) * fnv_prime;
  return hash;
}

// FNV's low bits depend on the last byte's low bits alone.
std::uint32_t slot_of(std::uint64_t hash, std::uint32_t slots) { return static_cast<std::uint32_t>(hash ^ hash >> 32) & (slots - 1); }

}  // namespace

// The normaliser's and the splitter's steps, a character at a time: clean, ideographs apart, decompose and strip, lower case, words.
class Splitter {
 public:
  Splitter(const Tokenizer& tokenizer, std::size_t room, std::uint32_t* ids) : tokenizer_(tokenizer), room_(room), ids_(ids) {}

  bool full() const { return count_ == room_; }
  std::size_t count() const { return count_; }

  void character(char32_t c) {
    if (c < 0x80 && c > ' ' && c != 0x7f) {
      order();
      return folded(c);
    }
    if (is_removed(c)) return;
    if (is_space(c)) c = ' ';
    if (!tokenizer_.options_.split_ideographs || !is_ideograph(c)) return decompose(c);
    decompose(' ');
    decompose(c);
    decompose(' ');
  }

  void special(std::uint32_t id) {
    flush();
    put(id);
  }

  void flush() {
    order();
    word();
  }

 private:
  void decompose(char32_t c) {
    if (!tokenizer_.options_.strip_accents) return folded(c);
    char32_t base[3];
    const std::size_t n = base_characters(c, base);
    for (std::size_t i = 0; i < n; ++i) {
      const unsigned rank = combining_rank(base[i]);
      if (rank == 0) {
        order();
        folded(base[i]);
      } else if (n_waiting_ < max_waiting) {
        // Stable: equal ranks keep their order.
        std::size_t at = n_waiting_++;
        for (; at > 0 && rank_[at - 1] > rank; --at) {
          waiting_[at] = waiting_[at - 1];
          rank_[at] = rank_[at - 1];
        }
        waiting_[at] = base[i];
        rank_[at] = rank;
      } else {
        // They are one word with those before, too long to be known, whatever its order.
        folded(base[i]);
      }
    }
  }

  // Combining characters that wait for the next character of rank 0, in canonical order.
  void order() {
    for (std::size_t i = 0; i < n_waiting_; ++i) folded(waiting_[i]);
    n_waiting_ = 0;
  }

  void folded(char32_t c) {
    if (!tokenizer_.options_.lowercase) return split(c);
    split(lower_case(c));
    if (c == 0x130) split(0x307);
  }

  void split(char32_t c) {
    if (is_space(c)) return word();
    const bool alone = is_punctuation(c);
    if (alone) word();
    if (++characters_ <= Tokenizer::max_word) bytes_ += write_utf8(c, word_ + bytes_);
    if (alone) word();
  }

  void word() {
    if (characters_ > Tokenizer::max_word) put(tokenizer_.special_[Tokenizer::unk]);
    else if (bytes_ > 0) count_ += tokenizer_.pieces(word_, bytes_, room_ - count_, ids_ + count_);
    characters_ = bytes_ = 0;
  }

  void put(std::uint32_t id) {
    if (!full()) ids_[count_++] = id;
  }

  static constexpr std::size_t max_waiting = Tokenizer::max_word + 1;

  const Tokenizer& tokenizer_;
  std::size_t room_, count_ = 0;
  std::uint32_t* ids_;
  std::size_t characters_ = 0, bytes_ = 0, n_waiting_ = 0;
  unsigned char word_[4 * Tokenizer::max_word];
  char32_t waiting_[max_waiting];
  unsigned rank_[max_waiting];
};

bool Tokenizer::load(const GgufFile& file, const TokenizerOptions& options, Error* error) {
  options_ = options;
  const GgufKey* model = file.find_key("tokenizer.ggml.model");
  if (model == nullptr || model->type != GgufType::string || model->count != 4 || std::memcmp(model->value, "bert", 4) != 0)
    return fail(error, Status::model_format, "expected tokenizer.ggml.model bert, found another or none; export the model again");
  const GgufKey* tokens = file.find_key("tokenizer.ggml.tokens");
  if (tokens == nullptr || tokens->type != GgufType::array || tokens->item != GgufType::string || tokens->count < n_special ||
      tokens->count > max_vocabulary)
    return fail(error, Status::model_format, "expected %d to %llu strings in tokenizer.ggml.tokens, found others or none; export the model again",
                static_cast<int>(n_special), static_cast<unsigned long long>(max_vocabulary));
  strings_ = tokens->value;
  size_ = static_cast<std::uint32_t>(tokens->count);
  // The misspelt name is GGUF's.
  constexpr const char* names[n_special] = {"unknown", "cls", "seperator", "padding", "mask"};
  for (int i = 0; i < n_special; ++i) {
    char name[64] = "tokenizer.ggml.";
    std::strcat(std::strcat(name, names[i]), "_token_id");
    const GgufKey* key = file.find_key(name);
    if (key == nullptr || key->type != GgufType::u32)
      return fail(error, Status::model_format, "expected the key %s (u32), found none; export the model again", name);
    std::memcpy(&special_[i], key->value, sizeof special_[i]);
    if (special_[i] >= size_)
      return fail(error, Status::model_format, "expected %s below %u, found %u; export the model again", name, size_, special_[i]);
  }
  return index(error);
}

bool Tokenizer::index(Error* error) {
  for (slots_ = 16; slots_ < 2 * size_;) slots_ *= 2;
  block_ = place_block([this](Arena& arena) {
    offset_ = arena.take<std::uint32_t>(size_);
    table_ = arena.take<std::uint32_t>(slots_);
  });
  if (block_ == nullptr) return fail(error, Status::memory, "expected memory for the vocabulary, found less; free some");
  const unsigned char flags[] = {options_.lowercase, options_.strip_accents, options_.split_ideographs};
  hash_ = fnv(fnv_start, flags, sizeof flags);
  std::uint64_t at = 0;
  for (std::uint32_t id = 0; id < size_; ++id) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, strings_ + at, sizeof bytes);
    if (bytes == 0 || bytes > max_token_bytes)
      return fail(error, Status::model_format, "expected tokens of 1 to %llu bytes, found %llu in token %u; export the model again",
                  static_cast<unsigned long long>(max_token_bytes), static_cast<unsigned long long>(bytes), id);
    const auto* text = strings_ + at + sizeof bytes;
    const auto n = static_cast<std::size_t>(bytes);
    const std::uint64_t own = fnv(fnv_start, text, n);
    if (find(own, text, n, "") != none)
      return fail(error, Status::model_format, "expected every token once, found token %u twice; export the model again", id);
    std::uint32_t slot = slot_of(own, slots_);
    while (table_[slot] != 0) slot = (slot + 1) & (slots_ - 1);
    table_[slot] = id + 1;
    offset_[id] = static_cast<std::uint32_t>(at);  // at most 2^20 tokens of 520 bytes
    longest_ = std::max(longest_, n);
    hash_ = fnv(fnv(hash_, text, n), "", 1);
    at += sizeof bytes + bytes;
  }
  return true;
}

const char* Tokenizer::token(std::uint32_t id, std::size_t* bytes) const {
  std::uint64_t n = 0;
  std::memcpy(&n, strings_ + offset_[id], sizeof n);
  *bytes = static_cast<std::size_t>(n);
  return reinterpret_cast<const char*>(strings_ + offset_[id] + sizeof n);
}

// The token `before` + text[0..n), whose FNV is `hash`; none where there isn't one.
std::uint32_t Tokenizer::find(std::uint64_t hash, const unsigned char* text, std::size_t n, const char* before) const {
  const std::size_t ahead = std::strlen(before);
  for (std::uint32_t slot = slot_of(hash, slots_); table_[slot] != 0; slot = (slot + 1) & (slots_ - 1)) {
    std::size_t bytes = 0;
    const char* own = token(table_[slot] - 1, &bytes);
    if (bytes == ahead + n && std::memcmp(own, before, ahead) == 0 && std::memcmp(own + ahead, text, n) == 0) return table_[slot] - 1;
  }
  return none;
}

// Longest match first. The hashes of all beginnings are one pass over the rest of the word.
std::size_t Tokenizer::pieces(const unsigned char* word, std::size_t bytes, std::size_t room, std::uint32_t* ids) const {
  std::uint64_t hashes[4 * max_word];
  std::uint32_t found[max_word];
  std::size_t count = 0;
  for (std::size_t start = 0; start < bytes;) {
    const char* before = start == 0 ? "" : continuing;
    const std::size_t ahead = start == 0 ? 0 : sizeof continuing - 1;
    std::size_t n = std::min(bytes - start, longest_ > ahead ? longest_ - ahead : 0);
    std::uint64_t hash = fnv(fnv_start, before, ahead);
    for (std::size_t i = 0; i < n; ++i) hashes[i] = hash = fnv(hash, word + start + i, 1);
    std::uint32_t id = none;
    for (; n > 0; --n) {
      const bool whole = start + n == bytes || (word[start + n] & 0xc0) != 0x80;  // not within a character
      if (whole && (id = find(hashes[n - 1], word + start, n, before)) != none) break;
    }
    if (id == none) {
      if (room > 0) ids[0] = special_[unk];
      return room > 0 ? 1 : 0;
    }
    found[count++] = id;
    start += n;
  }
  count = std::min(count, room);
  std::copy_n(found, count, ids);
  return count;
}

Tokenizer::Special Tokenizer::special_at(const unsigned char* text, std::size_t n) const {
  Special best = n_special;
  std::size_t longest = 0;
  for (int i = 0; i < n_special; ++i) {
    std::size_t bytes = 0;
    const char* own = token(special_[i], &bytes);
    if (bytes <= longest || bytes > n || std::memcmp(own, text, bytes) != 0) continue;
    best = static_cast<Special>(i);
    longest = bytes;
  }
  return best;
}

std::size_t Tokenizer::encode(const char* text, std::size_t n, std::size_t max_tokens, std::uint32_t* ids) const {
  bool starts[256] = {};
  for (const std::uint32_t id : special_) {
    std::size_t bytes = 0;
    starts[static_cast<unsigned char>(*token(id, &bytes))] = true;
  }
  ids[0] = special_[cls];
  Splitter splitter(*this, max_tokens - 2, ids + 1);
  const auto* at = reinterpret_cast<const unsigned char*>(text);
  const unsigned char* const end = at + n;
  while (at < end && !splitter.full()) {
    if (starts[*at]) {
      const Special special = special_at(at, static_cast<std::size_t>(end - at));
      if (special != n_special) {
        std::size_t bytes = 0;
        token(special_[special], &bytes);
        splitter.special(special_[special]);
        at += bytes;
        continue;
      }
    }
    splitter.character(read_utf8(&at, end));
  }
  splitter.flush();
  ids[1 + splitter.count()] = special_[sep];
  return splitter.count() + 2;
}

}  // namespace sanderling
