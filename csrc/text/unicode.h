// What BERT's normaliser and splitter, and a text's cleaning and look, ask about a character; the tables are make_unicode.py's.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sanderling {

// One character from UTF-8, 1 to 4 bytes; *at moves on. Bytes that are none (overlong, surrogates, beyond U+10FFFF, cut short) give U+FFFD,
// once for each part that could not go on, as Python's errors="replace" does. at < end.
char32_t read_utf8(const unsigned char** at, const unsigned char* end);

// Writes 1 to 4 bytes; returns their number.
std::size_t write_utf8(char32_t c, unsigned char* to);

bool is_removed(char32_t c);      // NUL, U+FFFD, control, format, private use; not tab and line ends
bool is_space(char32_t c);        // white space that is_removed leaves
bool is_punctuation(char32_t c);  // ASCII's punctuation and symbols, Unicode's punctuation
bool is_ideograph(char32_t c);    // a word of its own: Chinese characters, not kana and hangul
bool is_mark(char32_t c);         // nonspacing mark
bool is_blank(char32_t c);        // what cleaning makes a space: white space, U+FFFD, control, format, private use, unassigned
bool is_letter(char32_t c);       // Unicode's letters, as Python's str.isalpha
bool is_decimal(char32_t c);      // decimal digits, as \d in Python's patterns
bool is_word(char32_t c);         // letters, numbers and _, as \w there
unsigned combining_rank(char32_t c);  // canonical combining class, 0 where is_mark

// Canonical decomposition of c without its marks: 0 to 3 characters, c itself where it has none. Returns their number.
std::size_t base_characters(char32_t c, char32_t (&to)[3]);

// Lower case, one to one; U+0130 (the one character that becomes two) gives its first, i.
char32_t lower_case(char32_t c);

}  // namespace sanderling
