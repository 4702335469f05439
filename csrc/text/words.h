// TF-IDF of a cleaned text's words (docs/text_model.md, "Words"), as scikit-learn's TfidfVectorizer weighs them.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sanderling {

constexpr std::size_t word_characters = 1024;  // of a text that are read

// A vocabulary, ascending by the words' 64-bit hashes.
struct WordTable {
  const std::uint64_t* hash;  // [n]
  const double* idf;          // [n]
  std::size_t n;
};

// A text's words that the table knows: places in the table, ascending, and weights of length 1.
struct WeighedWords {
  std::uint32_t word[2 * word_characters];
  double weight[2 * word_characters];
  std::size_t n;
};

void weigh_words(const WordTable& table, const char32_t* text, std::size_t n, WeighedWords* out);

// One step of the hash of characters and words (docs/text_model.md).
inline std::uint64_t mix_hash(std::uint64_t x, std::uint64_t c) {
  x = (x ^ c) * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
  return x ^ (x >> 32);
}
constexpr std::uint64_t hash_seed = 1469598103934665603u;

// Where `wanted` is in the ascending table, or n.
std::size_t find_hash(const std::uint64_t* table, std::size_t n, std::uint64_t wanted);

}  // namespace sanderling
