#include "unicode.h"

#include <algorithm>
#include <iterator>

namespace sanderling {
namespace {

struct Range {
  char32_t first, last;
};
struct Rank {
  char32_t c;
  std::uint8_t rank;
};
struct BaseText {
  char32_t c, text[3];
};
struct LowerRun {
  char32_t first, last;
  int step, difference;
};

#include "category_tables.inl"
#include "unicode_tables.inl"

static_assert(longest_base <= 3, "base_characters writes up to three");

// The range that holds c, or nullptr.
template <typename Entry, std::size_t n>
const Entry* find_range(const Entry (&table)[n], char32_t c) {
  const Entry* const next = std::upper_bound(std::begin(table), std::end(table), c, [](char32_t x, const Entry& e) { return x < e.first; });
  return next != std::begin(table) && c <= next[-1].last ? next - 1 : nullptr;
}

template <typename Entry, std::size_t n>
const Entry* find_character(const Entry (&table)[n], char32_t c) {
  const Entry* const at = std::lower_bound(std::begin(table), std::end(table), c, [](const Entry& e, char32_t x) { return e.c < x; });
  return at != std::end(table) && at->c == c ? at : nullptr;
}

// How many bases stand before each range's.
struct BaseStarts {
  std::uint16_t at[std::size(base_ranges)];
  constexpr BaseStarts() : at() {
    std::uint16_t n = 0;
    for (std::size_t i = 0; i < std::size(base_ranges); ++i) {
      at[i] = n;
      n = static_cast<std::uint16_t>(n + (base_ranges[i].last - base_ranges[i].first + 1));
    }
  }
};
constexpr BaseStarts base_starts;

constexpr char32_t hangul = 0xac00, n_hangul = 11172, leading = 0x1100, vowel = 0x1161, trailing = 0x11a7;
constexpr char32_t vowels = 21, trails = 28;

}  // namespace

char32_t read_utf8(const unsigned char** at, const unsigned char* end) {
  constexpr char32_t replacement = 0xfffd;
  const unsigned char first = *(*at)++;
  if (first < 0x80) return first;
  if (first < 0xc2 || first > 0xf4) return replacement;
  const int more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
  // The second byte's bounds leave out overlong forms, surrogates and what lies beyond U+10FFFF.
  unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  char32_t c = first & (0x3fu >> more);
  for (int i = 0; i < more; ++i) {
    if (*at == end || **at < least || **at > most) return replacement;
    c = c << 6 | (*(*at)++ & 0x3fu);
    least = 0x80;
    most = 0xbf;
  }
  return c;
}

std::size_t write_utf8(char32_t c, unsigned char* to) {
  if (c < 0x80) return *to = static_cast<unsigned char>(c), 1;
  const std::size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (std::size_t i = n; --i > 0; c >>= 6) to[i] = static_cast<unsigned char>(0x80 | (c & 0x3f));
  to[0] = static_cast<unsigned char>((0xf00u >> n & 0xf0u) | c);
  return n;
}

bool is_removed(char32_t c) { return find_range(removed_ranges, c) != nullptr; }
bool is_space(char32_t c) { return find_range(space_ranges, c) != nullptr; }
bool is_punctuation(char32_t c) { return find_range(punctuation_ranges, c) != nullptr; }
bool is_ideograph(char32_t c) { return c >= ideograph_ranges[0].first && find_range(ideograph_ranges, c) != nullptr; }
bool is_mark(char32_t c) { return c >= mark_ranges[0].first && find_range(mark_ranges, c) != nullptr; }

bool is_blank(char32_t c) { return c < 0x7f ? c <= ' ' : find_range(blank_ranges, c) != nullptr; }
bool is_letter(char32_t c) {
  if (c < 0x80) return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
  return find_range(letter_ranges, c) != nullptr;
}
bool is_decimal(char32_t c) { return c < 0x80 ? c >= '0' && c <= '9' : find_range(decimal_ranges, c) != nullptr; }
bool is_word(char32_t c) {
  if (c < 0x80) return is_letter(c) || is_decimal(c) || c == '_';
  return is_letter(c) || find_range(number_ranges, c) != nullptr;
}

unsigned combining_rank(char32_t c) {
  const Rank* const found = c < rank_table[0].c ? nullptr : find_character(rank_table, c);
  return found == nullptr ? 0 : found->rank;
}

std::size_t base_characters(char32_t c, char32_t (&to)[3]) {
  to[0] = c;
  if (c < base_ranges[0].first) return 1;
  if (is_mark(c)) return 0;
  if (c - hangul < n_hangul) {
    const char32_t at = c - hangul, tail = at % trails;
    to[0] = leading + at / (vowels * trails);
    to[1] = vowel + at % (vowels * trails) / trails;
    to[2] = trailing + tail;
    return tail == 0 ? 2 : 3;
  }
  if (const Range* const range = find_range(base_ranges, c)) {
    to[0] = bases[base_starts.at[range - base_ranges] + (c - range->first)];
    return 1;
  }
  const BaseText* const found = find_character(base_texts, c);
  if (found == nullptr) return 1;
  std::size_t n = 0;
  for (; n < 3 && found->text[n] != 0; ++n) to[n] = found->text[n];
  return n;
}

char32_t lower_case(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  if (c == 0x130) return 'i';
  const LowerRun* const run = find_range(lower_runs, c);
  if (run == nullptr || (c - run->first) % static_cast<char32_t>(run->step) != 0) return c;
  return static_cast<char32_t>(static_cast<std::int32_t>(c) + run->difference);
}

}  // namespace sanderling
