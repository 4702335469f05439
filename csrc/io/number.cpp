#include "io/number.h"

#include <cfloat>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <system_error>

namespace sanderling {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

constexpr std::string_view kMissing[] = {"", "nan", "-nan", "+nan", "na", "null", "none"};
constexpr std::string_view kInfinity[] = {"inf", "infinity"};

// from_chars says "out of range" for both ends and leaves the value alone: the decimal exponent of the first digit that is
// not zero tells which end it was.
double beyond_range(std::string_view digits) {
  std::int64_t exponent = 0, place = 0;
  bool seen = false, point = false;
  std::size_t i = 0;
  for (; i < digits.size() && (is_digit(digits[i]) || digits[i] == '.'); ++i) {
    if (digits[i] == '.') {
      point = true;
      continue;
    }
    if (point && !seen) --place;
    if (digits[i] != '0') seen = true;
    if (!point && seen) ++place;
  }
  if (i < digits.size()) {
    const bool negative = digits[i + 1] == '-';
    for (i += (negative || digits[i + 1] == '+') ? 2 : 1; i < digits.size() && exponent < 100000000; ++i)
      exponent = exponent * 10 + (digits[i] - '0');
    if (negative) exponent = -exponent;
  }
  return place + exponent > 0 ? std::numeric_limits<double>::infinity() : 0.0;
}

// Exactly `count` digits at the front; removes them.
bool take_digits(std::string_view* text, std::size_t count, int* value) {
  if (text->size() < count) return false;
  *value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (!is_digit((*text)[i])) return false;
    *value = *value * 10 + ((*text)[i] - '0');
  }
  text->remove_prefix(count);
  return true;
}

bool take(std::string_view* text, char c) {
  if (text->empty() || text->front() != c) return false;
  text->remove_prefix(1);
  return true;
}

// Days since 1970-01-01 in the proleptic Gregorian calendar; counts years from March so that the leap day comes last.
std::int64_t days_from_civil(int year, int month, int day) {
  const std::int64_t y = month <= 2 ? year - 1 : year;
  const std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

bool valid_date(int year, int month, int day) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (year < 1 || month < 1 || month > 12 || day < 1) return false;
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return day <= kDays[month - 1] + (month == 2 && leap ? 1 : 0);
}

bool take_time_of_day(std::string_view* text, std::int64_t* microseconds) {
  int hour = 0, minute = 0, second = 0;
  if (!take_digits(text, 2, &hour) || !take(text, ':') || !take_digits(text, 2, &minute)) return false;
  if (hour > 23 || minute > 59) return false;
  std::int64_t fraction = 0;
  if (take(text, ':')) {
    if (!take_digits(text, 2, &second) || second > 59) return false;
    if (take(text, '.')) {
      if (text->empty() || !is_digit(text->front())) return false;
      for (std::int64_t unit = 100000; !text->empty() && is_digit(text->front()); unit /= 10) {
        fraction += unit * (text->front() - '0');
        text->remove_prefix(1);
      }
    }
  }
  *microseconds = ((hour * 60LL + minute) * 60 + second) * 1000000 + fraction;
  return true;
}

bool take_zone(std::string_view* text, std::int64_t* microseconds) {
  *microseconds = 0;
  if (text->empty() || take(text, 'Z')) return true;
  const bool west = text->front() == '-';
  if (!west && text->front() != '+') return false;
  text->remove_prefix(1);
  int hour = 0, minute = 0;
  if (!take_digits(text, 2, &hour) || !take(text, ':') || !take_digits(text, 2, &minute)) return false;
  if (hour > 23 || minute > 59) return false;
  *microseconds = (west ? -1 : 1) * (hour * 60LL + minute) * 60000000;
  return true;
}

}  // namespace

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
    if (c != lower[i]) return false;
  }
  return true;
}

Cell parse_number(std::string_view cell, double* value) {
  cell = trim(cell);
  for (const std::string_view word : kMissing)
    if (equals_ignoring_case(cell, word)) return Cell::missing;
  const bool negative = cell.front() == '-';
  if (negative || cell.front() == '+') cell.remove_prefix(1);
  if (cell.empty()) return Cell::text;
  if (is_digit(cell.front()) || cell.front() == '.') {
    double magnitude = 0.0;
    const auto result = std::from_chars(cell.data(), cell.data() + cell.size(), magnitude);
    if (result.ec == std::errc::invalid_argument || result.ptr != cell.data() + cell.size()) return Cell::text;
    if (result.ec == std::errc::result_out_of_range) magnitude = beyond_range(cell);
    *value = negative ? -magnitude : magnitude;
    return Cell::number;
  }
  for (const std::string_view word : kInfinity) {
    if (!equals_ignoring_case(cell, word)) continue;
    *value = negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
    return Cell::number;
  }
  return Cell::text;
}

float to_float32(double value) {
  if (std::isinf(value)) return static_cast<float>(value);
  if (value > static_cast<double>(FLT_MAX)) return FLT_MAX;
  if (value < -static_cast<double>(FLT_MAX)) return -FLT_MAX;
  return static_cast<float>(value);
}

bool parse_timestamp(std::string_view cell, double* seconds) {
  std::string_view text = trim(cell);
  int year = 0, month = 0, day = 0;
  if (!take_digits(&text, 4, &year) || !take(&text, '-') || !take_digits(&text, 2, &month) || !take(&text, '-') ||
      !take_digits(&text, 2, &day) || !valid_date(year, month, day))
    return false;
  std::int64_t time_of_day = 0, zone = 0;
  if (!text.empty()) {
    if (!take(&text, 'T') && !take(&text, ' ')) return false;
    if (!take_time_of_day(&text, &time_of_day) || !take_zone(&text, &zone) || !text.empty()) return false;
  }
  const std::int64_t microseconds = days_from_civil(year, month, day) * 86400000000LL + time_of_day - zone;
  *seconds = static_cast<double>(microseconds) / 1e6;
  return true;
}

}  // namespace sanderling
