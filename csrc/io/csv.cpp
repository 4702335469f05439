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
    if (!skipping_ && partial_.size() + part > kMaxLine) {
      ++line_;
      Error why;
      fail(&why, "expected lines of at most %zu bytes, found a longer one; check that it is CSV text", kMaxLine);
      if (!options_.live) return *error = why, false;
      reject(why);
      partial_.clear();
      skipping_ = true;
    }
    if (skipping_) {
      if (!end) return true;
      skipping_ = false;
      data += part + 1;
      size -= part + 1;
      continue;
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
  if (rows_ > 0 || options_.live) return true;
  error->status = Status::data;
  std::snprintf(error->message, sizeof error->message, "expected CSV rows of samples, found %s; give at least one row",
                now_.header.empty() ? "an empty input" : "a header and nothing after it");
  return false;
}

void CsvReader::cut() {
  skipping_ = false;
  if (partial_.empty()) return;
  partial_.clear();
  ++line_;
  Error why;
  fail(&why, "expected a whole line, found one cut by the end of the connection; check the cable and the sender");
  reject(why);
}

bool CsvReader::take_line(std::string_view line, CsvRows* rows, Error* error) {
  ++line_;
  if (!options_.live) return parse_line(line, rows, error);
  const std::size_t x = rows->x.size(), t = rows->t.size();
  const auto parse = [&](Error* why) {
    if (parse_line(line, rows, why)) return true;
    rows->x.resize(x), rows->t.resize(t);
    return false;
  };
  const Columns before = rows_ == 0 ? now_ : Columns();
  Error why;
  if (parse(&why)) return true;
  if (rows_ == 0 && !before.header.empty()) {
    now_ = Columns();
    Error again;
    if (parse(&again)) return reject(why), true;
  }
  if (rows_ == 0) now_ = before;
  return reject(why), true;
}

bool CsvReader::repeats_header() const {
  return now_.named && cells_.size() == now_.header.size() && std::equal(cells_.begin(), cells_.end(), now_.header.begin());
}

bool CsvReader::parse_line(std::string_view line, CsvRows* rows, Error* error) {
  if (line_ == 1 && line.substr(0, kByteOrderMark.size()) == kByteOrderMark) line.remove_prefix(kByteOrderMark.size());
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.find_first_not_of(' ') == std::string_view::npos) return true;
  if (line.find('\0') != std::string_view::npos)
    return fail(error, "expected text, found a NUL byte; save the file as UTF-8 CSV");
  if (!valid_utf8(line)) return fail(error, "expected UTF-8 text, found other bytes; save the file as UTF-8 CSV");
  const bool first = now_.header.empty();
  if (first) now_.delimiter = sniff_delimiter(line);
  if (!split(line, error)) return false;
  if (first) {
    if (!choose_columns(error)) return false;
    if (now_.named) return true;
  }
  return (options_.live && repeats_header()) || take_row(rows, error);
}

bool CsvReader::split(std::string_view line, Error* error) {
  cells_.clear();
  unquoted_.clear();
  unquoted_.reserve(line.size());  // never grows below, so the views into it stay valid
  const auto is_blank = [this](char c) { return (c == ' ' || c == '\t') && c != now_.delimiter; };
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
      if (i < line.size() && line[i] != now_.delimiter)
        return fail(error, "expected '%s' after the closing quote of column %zu, found other text; quote the whole cell",
                    now_.delimiter == '\t' ? "tab" : std::string(1, now_.delimiter).c_str(), cells_.size());
    } else {
      const std::size_t end = std::min(line.find(now_.delimiter, i), line.size());
      cells_.push_back(trim(line.substr(i, end - i)));
      i = end;
    }
    if (i >= line.size()) return true;
    ++i;
  }
}

bool CsvReader::choose_columns(Error* error) {
  double ignored = 0.0;
  std::size_t texts = 0;
  for (const std::string_view cell : cells_)
    texts += parse_number(cell, &ignored) == Cell::text && !(options_.live && parse_timestamp(cell, &ignored));
  now_.named = texts > 0;
  if (options_.live && texts > 0 && texts < cells_.size())
    return fail(error, "expected names or numbers, found both in one line, '%s' at first; correct the line", shown(cells_[0]).c_str());
  for (std::size_t i = 0; i < cells_.size(); ++i)
    now_.header.push_back(now_.named ? std::string(cells_[i]) : std::to_string(i));

  const auto find = [&](const std::string& name, const char* option, std::size_t* column) {
    *column = static_cast<std::size_t>(std::find(now_.header.begin(), now_.header.end(), name) - now_.header.begin());
    if (*column < now_.header.size()) return true;
    std::string known;
    for (const std::string& other : now_.header) known += (known.empty() ? "" : ", ") + other;
    error->status = Status::argument;
    std::snprintf(error->message, sizeof error->message, "%s: expected one of the columns (%s), found '%s'; check the name",
                  option, shown(known).c_str(), shown(name).c_str());
    return false;
  };

  if (!options_.time.empty()) {
    if (!find(options_.time, "time", &now_.time)) return false;
  } else if (now_.named) {
    for (std::size_t i = 0; i < now_.header.size() && now_.time == kNone; ++i)
      for (const std::string_view name : kTimeNames)
        if (equals_ignoring_case(now_.header[i], name)) now_.time = i;
  }
  std::size_t label = kNone;
  if (!options_.label.empty() && !find(options_.label, "label", &label)) return false;

  if (options_.columns.empty()) {
    for (std::size_t i = 0; i < now_.header.size(); ++i)
      if (i != now_.time && i != label) now_.picked.push_back(i);
  }
  for (const std::string& name : options_.columns) {
    std::size_t column = 0;
    if (!find(name, "columns", &column)) return false;
    now_.picked.push_back(column);
  }
  if (now_.picked.empty() || now_.picked.size() > kMaxColumns)
    return fail(error, "expected 1 to %zu channels beside time and label, found %zu; check the columns", kMaxColumns,
                now_.picked.size());
  if (options_.channels > 0 && now_.picked.size() != options_.channels)
    return fail(error, "expected %zu channel(s) as in the model, found %zu; check the sender and --columns (a decimal comma splits a number)",
                options_.channels, now_.picked.size());
  for (const std::size_t column : now_.picked) now_.names.push_back(now_.header[column]);
  return true;
}

bool CsvReader::take_row(CsvRows* rows, Error* error) {
  if (cells_.size() != now_.header.size())
    return fail(error, "expected %zu columns as in the first line, found %zu; repair or drop the row", now_.header.size(),
                cells_.size());
  if (now_.time != kNone && !take_time(rows, error)) return false;
  for (const std::size_t column : now_.picked) {
    double value = std::numeric_limits<double>::quiet_NaN();
    if (parse_number(cells_[column], &value) == Cell::text)
      return fail(error, "expected a number in column '%s', found '%s'; correct it or leave the cell empty",
                  shown(now_.header[column]).c_str(), shown(cells_[column]).c_str());
    rows->x.push_back(to_float32(value));
  }
  ++rows->rows;
  ++rows_;
  return true;
}

bool CsvReader::take_time(CsvRows* rows, Error* error) {
  const std::string_view cell = cells_[now_.time];
  double seconds = 0.0;
  const bool is_number = parse_number(cell, &seconds) == Cell::number && std::isfinite(seconds);
  if (rows_ == 0) time_is_iso_ = !is_number;
  if (time_is_iso_ ? !parse_timestamp(cell, &seconds) : !is_number)
    return fail(error, "expected %s in time column '%s', found '%s'; correct it or name another column as time",
                rows_ == 0     ? "seconds or an ISO 8601 time"
                : time_is_iso_ ? "an ISO 8601 time"
                               : "seconds",
                shown(now_.header[now_.time]).c_str(), shown(cell).c_str());
  if (!options_.live && rows_ > 0 && seconds < last_time_)
    return fail(error, "expected a time not before the previous row's in column '%s', found '%s'; sort the rows by time",
                shown(now_.header[now_.time]).c_str(), shown(cell).c_str());
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
