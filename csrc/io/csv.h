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
// Live    a line that breaks a rule is rejected, that is counted with its reason, and reading goes on. Until the first row any line
//         whose cells are all text or all numbers may set the columns anew (a device says more than CSV when it starts); later a
//         line like the header is skipped (the device started again). A time may fall. No row at all is no error.
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
  bool live = false;                 // see above
  std::size_t channels = 0;          // live: how many there must be; 0: any number
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
  const std::vector<std::string>& channels() const { return now_.names; }
  bool named() const { return now_.named; }  // by a header, not by numbers
  bool has_time() const { return now_.time != kNone; }
  std::uint64_t rows() const { return rows_; }
  std::uint64_t equal_timestamps() const { return equal_timestamps_; }

  // Live: the number of channels, before the first line.
  void expect(std::size_t channels) { options_.channels = channels; }
  // Live: lines rejected so far, and why the last one was ("row N: expected ...").
  std::uint64_t rejected() const { return rejected_; }
  const std::string& reason() const { return reason_; }
  // Live: the connection was cut; what came of its last line is rejected.
  void cut();

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  // Which column is what, by the first line.
  struct Columns {
    std::vector<std::string> header;  // every column's name
    std::vector<std::string> names;   // the channels' names
    std::vector<std::size_t> picked;  // the channels' columns
    std::size_t time = kNone;
    char delimiter = 0;
    bool named = false;               // the first line was a header
  };

  bool take_line(std::string_view line, CsvRows* rows, Error* error);
  bool parse_line(std::string_view line, CsvRows* rows, Error* error);
  bool split(std::string_view line, Error* error);
  bool choose_columns(Error* error);
  bool take_row(CsvRows* rows, Error* error);
  bool take_time(CsvRows* rows, Error* error);
  bool repeats_header() const;
  void reject(const Error& why) { ++rejected_, reason_ = why.message; }
  bool fail(Error* error, const char* format, ...) const __attribute__((format(printf, 3, 4)));

  CsvOptions options_;
  Columns now_;
  std::string partial_;                  // the line that the last chunk cut
  std::string unquoted_;                 // text of cells that held doubled quotes
  std::vector<std::string_view> cells_;  // of the current line
  bool skipping_ = false;                // live: the rest of a line that is too long
  bool time_is_iso_ = false;
  double last_time_ = 0.0;
  std::uint64_t line_ = 0, rows_ = 0, equal_timestamps_ = 0, rejected_ = 0;
  std::string reason_;
};

// The sample period in seconds: the differences of neighbours in t (float64), those above 0, sorted; the lower median, element
// (n - 1) / 2 (integer division), rounded to float32. 0 (unknown) when there is none or the float32 is not finite.
float sample_period(const double* t, std::size_t n);

}  // namespace sanderling
