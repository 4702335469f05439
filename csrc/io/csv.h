// CSV to float32 samples, in bounded memory and in chunks cut anywhere. The Python reader follows the same rules.
//
// Text    UTF-8, an optional byte order mark, lines ended by LF or CRLF; NUL bytes, bad UTF-8 and lines over 1 MiB are errors.
//         Lines that hold nothing or only spaces are skipped, but count in the line numbers of errors (1-based).
// Cells   separated by `,`, `;` or tab: whichever the first line has most of outside quotes (ties: in this order; none: `,`).
//         Spaces and tabs around a cell do not count. A cell that begins with `"` ends at the closing quote, `""` inside it is
//         one quote; a quoted cell does not run over the end of its line. At most 1024 cells a line, every line the same number.
// Header  the first line when any of its cells is neither a number nor missing; otherwise columns are named 0, 1, 2, ...
// Missing (NaN): an empty cell, or in any case of letters: nan, +nan, -nan, na, null, none.
// Number  [+-]?(D+[.D*]|.D+)([eE][+-]?D+)? or [+-]?inf(inity)? in any case of letters, rounded to float64 and then to
//         float32; a finite float64 beyond float32's range becomes +-FLT_MAX; beyond float64's range it is +-inf.
// Time    the column named by the caller, else, with a header, the first one named time, timestamp, datetime, date, ts or t in
//         any case of letters. Every cell is a finite number (seconds) or every cell is ISO 8601 (number.h), never missing. It
//         may not fall; equal neighbours are kept and counted.
// Channels: the columns asked for, in that order, else every column but time and label. Other columns are not read.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/engine.h"

namespace sanderling {

constexpr std::size_t kMaxLine = std::size_t{1} << 20;  // bytes, without the line end
constexpr std::size_t kMaxColumns = 1024;

struct CsvOptions {
  std::string time;                  // name of the time column; "": by the well-known names
  std::vector<std::string> columns;  // the channels, in this order; empty: every column but time and label
  std::string label;                 // a column that is no channel; "": none
};

// Rows parsed and not yet taken; the caller clears it.
struct CsvRows {
  std::vector<float> x;   // [rows][channels]
  std::vector<double> t;  // [rows], seconds; empty without a time column
  std::size_t rows = 0;
  void clear() { x.clear(), t.clear(), rows = 0; }
};

// A push parser. After an error (status argument: a column's name; data: the text) the reader is spent.
class CsvReader {
 public:
  explicit CsvReader(CsvOptions options) : options_(std::move(options)) {}

  // Takes the next bytes and appends the rows that they complete.
  bool feed(const char* data, std::size_t size, CsvRows* rows, Error* error);
  // The end of the text: takes a last line without a line end. No row at all is an error.
  bool finish(CsvRows* rows, Error* error);

  // Known once the first line has been read.
  const std::vector<std::string>& channels() const { return names_; }
  bool has_time() const { return time_ != kNone; }
  std::uint64_t rows() const { return rows_; }
  std::uint64_t equal_timestamps() const { return equal_timestamps_; }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  bool take_line(std::string_view line, CsvRows* rows, Error* error);
  bool split(std::string_view line, Error* error);
  bool choose_columns(Error* error, bool* is_header);
  bool take_row(CsvRows* rows, Error* error);
  bool take_time(CsvRows* rows, Error* error);
  bool fail(Error* error, const char* format, ...) const __attribute__((format(printf, 3, 4)));

  CsvOptions options_;
  std::string partial_;                  // the line that the last chunk cut
  std::string unquoted_;                 // text of cells that held doubled quotes
  std::vector<std::string_view> cells_;  // of the current line
  std::vector<std::string> header_;      // every column's name
  std::vector<std::string> names_;       // the channels' names
  std::vector<std::size_t> picked_;      // the channels' columns
  std::size_t time_ = kNone;
  bool time_is_iso_ = false;
  double last_time_ = 0.0;
  char delimiter_ = 0;
  std::uint64_t line_ = 0, rows_ = 0, equal_timestamps_ = 0;
};

// The sample period in seconds: the differences of neighbours in t (float64), those above 0, sorted; the lower median, element
// (n - 1) / 2 (integer division), rounded to float32. 0 (unknown) when there is none or the float32 is not finite.
float sample_period(const double* t, std::size_t n);

}  // namespace sanderling
