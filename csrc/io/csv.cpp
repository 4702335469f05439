#include "io/csv.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <limits>

#include "io/number.h"

namespace sanderling {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kTimeNames[] = {"time", "timestamp", "datetime", "date", "ts", "t"};
constexpr char kDelimiters[] = {',', ';', '\t'};

char sniff_delimiter(std::string_view line) {
  std::size_t counts[3] = {0, 0, 0};
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') quoted = !quoted;
    for (int i = 0; i < 3; ++i) counts[i] += !quoted && c == kDelimiters[i];
  }
  return kDelimiters[std::max_element(counts, counts + 3) - counts];
}

// RFC 3629: shortest form only, no surrogates, at most U+10FFFF.
bool valid_utf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = p + text.size();
  while (p < end) {
    const unsigned char c = *p++;
    if (c < 0x80) continue;
    const int more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
    if (c < 0xC2 || c > 0xF4 || end - p < more) return false;
    const unsigned char low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (p[0] < low || p[0] > high) return false;
    for (int i = 1; i < more; ++i)
      if ((p[i] & 0xC0) != 0x80) return false;
    p += more;
  }
  return true;
}

// A cell as it may stand in a one-line message: short, and whole code points only.
std::string shown(std::string_view cell) {
  constexpr std::size_t kShown = 40;
  const bool cut = cell.size() > kShown;
  if (cut) cell = cell.substr(0, kShown);
  if (cut)
    while (!cell.empty() && !valid_utf8(cell)) cell.remove_suffix(1);
  std::string text(cell);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  return cut ? text + "..." : text;
}

}  // namespace

bool CsvReader::fail(Error* error, const char* format, ...) const {
  error->status = Status::data;
  const int used = std::snprintf(error->message, sizeof error->message, "row %llu: ",
                                 static_cast<unsigned long long>(line_));
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(error->message + used, sizeof error->message - static_cast<std::size_t>(used), format, arguments);
  va_end(arguments);
  return false;
}

bool CsvReader::feed(const char* data, std::size_t size, CsvRows* rows, Error* error) {
  while (size > 0) {
    const char* const end = static_cast<const char*>(std::memchr(data, '\n', size));
    const std::size_t part = end ? static_cast<std::size_t>(end - data) : size;
    if (partial_.size() + part > kMaxLine) {
      ++line_;
      return fail(error, "expected lines of at most %zu bytes, found a longer one; check that it is CSV text",
                  kMaxLine);
    }
    if (!end) {
      partial_.append(data, part);
      return true;
    }
    if (partial_.empty()) {
      if (!take_line(std::string_view(data, part), rows, error)) return false;
    } else {
      partial_.append(data, part);
      if (!take_line(partial_, rows, error)) return false;
      partial_.clear();
    }
    data += part + 1;
    size -= part + 1;
  }
  return true;
}

bool CsvReader::finish(CsvRows* rows, Error* error) {
  if (!partial_.empty()) {
    if (!take_line(partial_, rows, error)) return false;
    partial_.clear();
  }
  if (rows_ > 0) return true;
  error->status = Status::data;
  std::snprintf(error->message, sizeof error->message, "expected CSV rows of samples, found %s; give at least one row",
                header_.empty() ? "an empty input" : "a header and nothing after it");
  return false;
}

bool CsvReader::take_line(std::string_view line, CsvRows* rows, Error* error) {
  ++line_;
  if (line_ == 1 && line.substr(0, kByteOrderMark.size()) == kByteOrderMark) line.remove_prefix(kByteOrderMark.size());
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.find_first_not_of(' ') == std::string_view::npos) return true;
  if (line.find('\0') != std::string_view::npos)
    return fail(error, "expected text, found a NUL byte; save the file as UTF-8 CSV");
  if (!valid_utf8(line)) return fail(error, "expected UTF-8 text, found other bytes; save the file as UTF-8 CSV");
  const bool first = header_.empty();
  if (first) delimiter_ = sniff_delimiter(line);
  if (!split(line, error)) return false;
  if (first) {
    bool is_header = false;
    if (!choose_columns(error, &is_header)) return false;
    if (is_header) return true;
  }
  return take_row(rows, error);
}

bool CsvReader::split(std::string_view line, Error* error) {
  cells_.clear();
  unquoted_.clear();
  unquoted_.reserve(line.size());  // never grows below, so the views into it stay valid
  const auto is_blank = [this](char c) { return (c == ' ' || c == '\t') && c != delimiter_; };
  std::size_t i = 0;
  for (;;) {
    if (cells_.size() == kMaxColumns)
      return fail(error, "expected at most %zu columns, found more; split the file", kMaxColumns);
    while (i < line.size() && is_blank(line[i])) ++i;
    if (i < line.size() && line[i] == '"') {
      const std::size_t start = unquoted_.size();
      for (++i;; ++i) {
        if (i >= line.size())
          return fail(error, "expected a closing quote in column %zu, found the end of the line; close the cell",
                      cells_.size() + 1);
        if (line[i] == '"') {
          if (i + 1 >= line.size() || line[i + 1] != '"') break;
          ++i;
        }
        unquoted_.push_back(line[i]);
      }
      cells_.push_back(trim(std::string_view(unquoted_).substr(start)));
      for (++i; i < line.size() && is_blank(line[i]);) ++i;
      if (i < line.size() && line[i] != delimiter_)
        return fail(error, "expected '%s' after the closing quote of column %zu, found other text; quote the whole cell",
                    delimiter_ == '\t' ? "tab" : std::string(1, delimiter_).c_str(), cells_.size());
    } else {
      const std::size_t end = std::min(line.find(delimiter_, i), line.size());
      cells_.push_back(trim(line.substr(i, end - i)));
      i = end;
    }
    if (i >= line.size()) return true;
    ++i;
  }
}

bool CsvReader::choose_columns(Error* error, bool* is_header) {
  double ignored = 0.0;
  for (const std::string_view cell : cells_) *is_header |= parse_number(cell, &ignored) == Cell::text;
  for (std::size_t i = 0; i < cells_.size(); ++i)
    header_.push_back(*is_header ? std::string(cells_[i]) : std::to_string(i));

  const auto find = [&](const std::string& name, const char* option, std::size_t* column) {
    *column = static_cast<std::size_t>(std::find(header_.begin(), header_.end(), name) - header_.begin());
    if (*column < header_.size()) return true;
    std::string known;
    for (const std::string& other : header_) known += (known.empty() ? "" : ", ") + other;
    error->status = Status::argument;
    std::snprintf(error->message, sizeof error->message, "%s: expected one of the columns (%s), found '%s'; check the name",
                  option, shown(known).c_str(), shown(name).c_str());
    return false;
  };

  if (!options_.time.empty()) {
    if (!find(options_.time, "time", &time_)) return false;
  } else if (*is_header) {
    for (std::size_t i = 0; i < header_.size() && time_ == kNone; ++i)
      for (const std::string_view name : kTimeNames)
        if (equals_ignoring_case(header_[i], name)) time_ = i;
  }
  std::size_t label = kNone;
  if (!options_.label.empty() && !find(options_.label, "label", &label)) return false;

  if (options_.columns.empty()) {
    for (std::size_t i = 0; i < header_.size(); ++i)
      if (i != time_ && i != label) picked_.push_back(i);
  }
  for (const std::string& name : options_.columns) {
    std::size_t column = 0;
    if (!find(name, "columns", &column)) return false;
    picked_.push_back(column);
  }
  if (picked_.empty() || picked_.size() > kMaxColumns)
    return fail(error, "expected 1 to %zu channels beside time and label, found %zu; check the columns", kMaxColumns,
                picked_.size());
  for (const std::size_t column : picked_) names_.push_back(header_[column]);
  return true;
}

bool CsvReader::take_row(CsvRows* rows, Error* error) {
  if (cells_.size() != header_.size())
    return fail(error, "expected %zu columns as in the first line, found %zu; repair or drop the row", header_.size(),
                cells_.size());
  if (time_ != kNone && !take_time(rows, error)) return false;
  for (const std::size_t column : picked_) {
    double value = std::numeric_limits<double>::quiet_NaN();
    if (parse_number(cells_[column], &value) == Cell::text)
      return fail(error, "expected a number in column '%s', found '%s'; correct it or leave the cell empty",
                  shown(header_[column]).c_str(), shown(cells_[column]).c_str());
    rows->x.push_back(to_float32(value));
  }
  ++rows->rows;
  ++rows_;
  return true;
}

bool CsvReader::take_time(CsvRows* rows, Error* error) {
  const std::string_view cell = cells_[time_];
  double seconds = 0.0;
  const bool is_number = parse_number(cell, &seconds) == Cell::number && std::isfinite(seconds);
  if (rows_ == 0) time_is_iso_ = !is_number;
  if (time_is_iso_ ? !parse_timestamp(cell, &seconds) : !is_number)
    return fail(error, "expected %s in time column '%s', found '%s'; correct it or name another column as time",
                rows_ == 0     ? "seconds or an ISO 8601 time"
                : time_is_iso_ ? "an ISO 8601 time"
                               : "seconds",
                shown(header_[time_]).c_str(), shown(cell).c_str());
  if (rows_ > 0 && seconds < last_time_)
    return fail(error, "expected a time not before the previous row's in column '%s', found '%s'; sort the rows by time",
                shown(header_[time_]).c_str(), shown(cell).c_str());
  equal_timestamps_ += rows_ > 0 && seconds == last_time_;
  last_time_ = seconds;
  rows->t.push_back(seconds);
  return true;
}

float sample_period(const double* t, std::size_t n) {
  std::vector<double> steps;
  for (std::size_t i = 1; i < n; ++i)
    if (t[i] > t[i - 1]) steps.push_back(t[i] - t[i - 1]);
  if (steps.empty()) return 0.0f;
  const auto middle = steps.begin() + static_cast<std::ptrdiff_t>((steps.size() - 1) / 2);
  std::nth_element(steps.begin(), middle, steps.end());
  const auto period = static_cast<float>(*middle);
  return std::isfinite(period) ? period : 0.0f;
}

}  // namespace sanderling
