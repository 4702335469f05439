#include "surface.h"

#include <algorithm>

#include "../core/math.h"
#include "unicode.h"

namespace sanderling {
namespace {

constexpr char32_t capital_dot = 0x130, dot_above = 0x307, final_sigma = 0x3c2, sigma = 0x3c3;

double log1p_count(std::size_t n) { return log64(1.0 + static_cast<double>(n)); }

// Of neighbours in a row for which a test holds: all of them, and the longest row.
struct Run {
  std::size_t all = 0, longest = 0, now = 0;
  void see(bool on) {
    now = on ? now + 1 : 0;
    all += on;
    longest = std::max(longest, now);
  }
};

double entropy(const char32_t* text, std::size_t n, char32_t* sorted) {
  std::copy_n(text, n, sorted);
  std::sort(sorted, sorted + n);
  double sum = 0.0;
  for (std::size_t i = 0, next = 0; i < n; i = next) {
    while (next < n && sorted[next] == sorted[i]) ++next;
    const double share = static_cast<double>(next - i) / static_cast<double>(n);
    sum += share * log64(share);
  }
  return 0.0 - sum;
}

// Words that differ when they are lowered; a final sigma is a sigma.
std::size_t distinct_words(const char32_t* text, std::size_t n, SurfaceWork* work) {
  char32_t* to = work->lowered;
  std::size_t words = 0;
  for (std::size_t i = 0; i < n;) {
    SurfaceWork::Word& word = work->words[words++] = {to, 0};
    for (; i < n && text[i] != ' '; ++i) {
      const char32_t c = lower_case(text[i]);
      *to++ = c == final_sigma ? sigma : c;
      if (text[i] == capital_dot) *to++ = dot_above;
    }
    word.n = static_cast<std::size_t>(to - word.first);
    ++i;
  }
  using Word = SurfaceWork::Word;
  std::sort(work->words, work->words + words, [](const Word& a, const Word& b) {
    return std::lexicographical_compare(a.first, a.first + a.n, b.first, b.first + b.n);
  });
  const Word* const end = std::unique(work->words, work->words + words, [](const Word& a, const Word& b) {
    return std::equal(a.first, a.first + a.n, b.first, b.first + b.n);
  });
  return static_cast<std::size_t>(end - work->words);
}

}  // namespace

void surface_of(const char32_t* text, std::size_t n, SurfaceWork* work, double* out) {
  Run digits, capitals, letters, spaces, foreign, words, emphasis;
  std::size_t n_words = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const char32_t c = text[i];
    digits.see(c >= '0' && c <= '9');
    capitals.see(c >= 'A' && c <= 'Z');
    letters.see(is_letter(c));
    spaces.see(c == ' ');
    foreign.see(c >= 0x80);
    words.see(c != ' ');
    n_words += words.now == 1;
    emphasis.see(c == '!' || c == '$' || c == '%' || c == 0xa3);
  }
  const std::size_t marks = n - digits.all - letters.all - spaces.all;
  const double count = static_cast<double>(std::max<std::size_t>(n_words, 1)), total = static_cast<double>(std::max<std::size_t>(n, 1));
  const double features[surface_features] = {
      log1p_count(n),
      log1p_count(n_words),
      static_cast<double>(n) / count,
      log1p_count(words.longest),
      log1p_count(digits.all),
      log1p_count(capitals.all),
      log1p_count(marks),
      log1p_count(foreign.all),
      log1p_count(digits.longest),
      log1p_count(capitals.longest),
      static_cast<double>(digits.all) / total,
      static_cast<double>(capitals.all) / total,
      static_cast<double>(marks) / total,
      entropy(text, n, work->sorted),
      static_cast<double>(distinct_words(text, n, work)) / count,
      log1p_count(emphasis.all),
  };
  std::copy_n(features, surface_features, out);
}

}  // namespace sanderling
