// Sensitive parts of a cleaned text, hidden: letters become x, digits 0 (python/sanderling/text/clean.py, SENSITIVE). Scanners that find
// what Python's patterns find, character by character; tests/text/test_native.py compares them.
#pragma once
#include <cstddef>

namespace sanderling {

enum MaskRule : std::size_t { mask_email, mask_url, mask_card, mask_mac, mask_ip, mask_phone, n_mask_rules };
extern const char* const mask_names[n_mask_rules];

// The rules of `on` (a bit each, 1 << MaskRule) one after the other, in place.
void mask_text(unsigned on, char32_t* text, std::size_t n);

}  // namespace sanderling
