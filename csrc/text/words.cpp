#include "words.h"

#include <algorithm>

#include "../core/math.h"
#include "unicode.h"

namespace sanderling {
namespace {

constexpr char32_t capital_dot = 0x130, dot_above = 0x307, final_sigma = 0x3c2, sigma = 0x3c3;
constexpr std::size_t lanes = 16;

char32_t fold_case(char32_t c) {
  if (c >= '0' && c <= '9') return '0';
  const char32_t lower = lower_case(c);
  return lower == final_sigma ? sigma : lower;
}

}  // namespace

std::size_t find_hash(const std::uint64_t* table, std::size_t n, std::uint64_t wanted) {
  const std::uint64_t* const at = std::lower_bound(table, table + n, wanted);
  return at != table + n && *at == wanted ? static_cast<std::size_t>(at - table) : n;
}

void weigh_words(const WordTable& table, const char32_t* text, std::size_t n, WeighedWords* out) {
  std::uint32_t* const found = out->word;
  std::size_t words = 0;
  std::uint64_t hash = hash_seed;
  bool inside = false;
  const auto end_word = [&] {
    const std::size_t place = find_hash(table.hash, table.n, hash);
    if (place != table.n) found[words++] = static_cast<std::uint32_t>(place);
    hash = hash_seed;
    inside = false;
  };
  const auto see = [&](char32_t c) {
    const bool in_word = is_word(c);
    if (inside && !in_word) end_word();
    if (c == ' ') return;
    hash = mix_hash(hash, c);
    inside = true;
    if (!in_word) end_word();
  };
  for (std::size_t i = 0; i < std::min(n, word_characters); ++i) {
    see(fold_case(text[i]));
    if (text[i] == capital_dot) see(dot_above);
  }
  if (inside) end_word();

  std::sort(found, found + words);
  out->n = 0;
  double lane[lanes] = {};
  for (std::size_t i = 0, next = 0; i < words; i = next) {
    while (next < words && found[next] == found[i]) ++next;
    const double weight = (1.0 + log64(static_cast<double>(next - i))) * table.idf[found[i]];
    lane[out->n % lanes] += weight * weight;
    found[out->n] = found[i];
    out->weight[out->n++] = weight;
  }
  const double length = std::sqrt(fold16(lane));
  for (std::size_t i = 0; i < out->n; ++i) out->weight[i] /= length;
}

}  // namespace sanderling
