// Text cells to numbers, the same bits in every locale and on every machine. docs: the rules are in csv.h.
#pragma once
#include <string_view>

namespace sanderling {

enum class Cell { number, missing, text };

// Blanks (space, tab) around a cell do not count.
std::string_view trim(std::string_view text);

// ASCII comparison that takes a..z and A..Z as equal; `lower` is in lower case already.
bool equals_ignoring_case(std::string_view text, std::string_view lower);

// The kind of a cell and, for `number`, its float64 value (+-inf for the word inf and beyond float64's range).
Cell parse_number(std::string_view cell, double* value);

// float64 to float32: round to nearest even; a finite value beyond float32's range becomes +-FLT_MAX; +-inf stays.
float to_float32(double value);

// ISO 8601 `YYYY-MM-DD`, then optionally `T` or a space and `HH:MM[:SS[.f+]]`, then optionally `Z`, `+hh:mm` or `-hh:mm`.
// Seconds since 1970-01-01 UTC (no zone: UTC) = float64(whole microseconds) / 1e6; digits after the sixth are dropped.
bool parse_timestamp(std::string_view cell, double* seconds);

}  // namespace sanderling
