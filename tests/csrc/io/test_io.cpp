// The CSV rules of csrc/io/csv.h, numbers, times, the sample period and the JSON writer.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "io/csv.h"
#include "io/json.h"
#include "io/number.h"

namespace {

using namespace sanderling;

int failures = 0;
void check(bool good, const char* what, int line) {
  if (good) return;
  std::fprintf(stderr, "test_io.cpp:%d: %s\n", line, what);
  ++failures;
}
#define CHECK(condition) check((condition), #condition, __LINE__)

struct Parsed {
  bool good = true;
  Error error;
  CsvRows rows;
  std::vector<std::string> channels;
  std::uint64_t equal = 0, rejected = 0;
  std::string reason;
};

Parsed parse_cut(const std::string& text, std::size_t cut, const CsvOptions& options) {
  Parsed p;
  CsvReader reader(options);
  for (std::size_t at = 0; at < text.size() && p.good; at += cut)
    p.good = reader.feed(text.data() + at, std::min(cut, text.size() - at), &p.rows, &p.error);
  p.good = p.good && reader.finish(&p.rows, &p.error);
  p.channels = reader.channels();
  p.equal = reader.equal_timestamps();
  p.rejected = reader.rejected();
  p.reason = reader.reason();
  return p;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::memcmp(&a[i], &b[i], sizeof a[i]) != 0) return false;
  }
  return true;
}

// Every text is read whole, byte by byte and in sevens: the outcome may not depend on the cut.
Parsed parse(const std::string& text, const CsvOptions& options = {}) {
  Parsed whole = parse_cut(text, text.size() + 1, options);
  for (const std::size_t cut : {std::size_t{1}, std::size_t{7}}) {
    const Parsed parts = parse_cut(text, cut, options);
    CHECK(parts.good == whole.good && same_bits(parts.rows.x, whole.rows.x) && parts.rows.t == whole.rows.t);
    CHECK(std::strcmp(parts.error.message, whole.error.message) == 0);
    CHECK(parts.rejected == whole.rejected && parts.reason == whole.reason && parts.channels == whole.channels);
  }
  return whole;
}

const float kNan = std::nanf("");
const float kInf = std::numeric_limits<float>::infinity();

void test_values() {
  struct Case {
    const char* text;
    std::vector<float> x;
    std::size_t channels;
  };
  const Case cases[] = {
      {"1,2\n3,4\n", {1, 2, 3, 4}, 2},
      {"1,2\n3,4", {1, 2, 3, 4}, 2},                              // no line end after the last row
      {"a,b\r\n1,2\r\n", {1, 2}, 2},
      {"\xEF\xBB\xBF" "a;b\n1;2\n", {1, 2}, 2},
      {"a\tb\n1\t\n\t2\n", {1, kNan, kNan, 2}, 2},
      {"\n  \na\n1\n\n2\n", {1, 2}, 1},                            // blank lines are skipped
      {"\"a\",\"b \"\"x\"\"\"\n\"1\" , \" 2.5 \"\n", {1, 2.5f}, 2},
      {"NA,null,None\nnan,NaN,-nan\n,NULL,+NAN\n", std::vector<float>(9, kNan), 3},
      {"+1.5,.5,5.,-0,1e3\n", {1.5f, 0.5f, 5.0f, -0.0f, 1000.0f}, 5},
      {"1e39,-1e39,1e400,-1e400,1e-400\n", {FLT_MAX, -FLT_MAX, kInf, -kInf, 0.0f}, 5},
      {"inf,-Infinity,+INF\n", {kInf, -kInf, kInf}, 3},
      {"0.1,16777217,1e30\n", {0.1f, 16777216.0f, 1e30f}, 3},
      {"1.00000017881393432617187499\n", {1.00000024f}, 1},  // float64 first (a tie there), then float32; at once it would be 1.0000001
  };
  for (const Case& c : cases) {
    const Parsed p = parse(c.text);
    check(p.good && p.channels.size() == c.channels && same_bits(p.rows.x, c.x) && p.rows.t.empty(), c.text, __LINE__);
  }
}

void test_columns() {
  const std::string text = "ts,a,label,b\n1,10,0,20\n1,11,1,21\n3,12,0,22\n";
  Parsed p = parse(text, {"", {}, "label"});
  CHECK(p.good && p.channels == (std::vector<std::string>{"a", "b"}));
  CHECK(p.rows.t == (std::vector<double>{1, 1, 3}) && p.equal == 1);
  CHECK(same_bits(p.rows.x, {10, 20, 11, 21, 12, 22}));
  p = parse(text, {"", {"b", "a"}, ""});
  CHECK(same_bits(p.rows.x, {20, 10, 21, 11, 22, 12}));
  p = parse(text, {"a", {}, "label"});
  CHECK(p.rows.t == (std::vector<double>{10, 11, 12}) && p.channels == (std::vector<std::string>{"ts", "b"}));
  p = parse("name,b\nx,1\ny,2\n", {"", {"b"}, ""});  // text in a column that nobody asked for
  CHECK(p.good && same_bits(p.rows.x, {1, 2}));
  p = parse("5,1\n6,2\n", {"0", {}, ""});  // without a header columns go by position
  CHECK(p.good && p.rows.t == (std::vector<double>{5, 6}) && p.channels == (std::vector<std::string>{"1"}));
  for (const char* name : {"time", "Timestamp", "DATETIME", "date", "ts", "T"})
    CHECK(parse(std::string(name) + ",b\n1,2\n").rows.t.size() == 1);
}

void test_errors() {
  struct Case {
    std::string text;
    Status status;
    const char* part;
  };
  const Case cases[] = {
      {"", Status::data, "empty input"},
      {"\n \n", Status::data, "empty input"},
      {"a,b\n", Status::data, "a header"},
      {"a,b\n1,2\n3\n", Status::data, "row 3: expected 2 columns"},
      {"a,b\n1,2\n\n3,4,5\n", Status::data, "row 4: expected 2 columns"},
      {"a,b\n1,2\n3,four\n", Status::data, "row 3: expected a number in column 'b', found 'four'"},
      {"a\n1_0\n", Status::data, "'1_0'"},
      {"a\n0x10\n", Status::data, "'0x10'"},
      {"a\n1 2\n", Status::data, "'1 2'"},
      {"a\n+-1\n", Status::data, "'+-1'"},
      {"a\n1e\n", Status::data, "'1e'"},
      {"a\nnan(1)\n", Status::data, "'nan(1)'"},
      {"t,b\n2,1\n1,1\n", Status::data, "row 3: expected a time not before"},
      {"t,b\n1,1\n,1\n", Status::data, "row 3: expected seconds"},
      {"t,b\ninf,1\n", Status::data, "row 2: expected seconds or an ISO 8601 time"},
      {"t,b\n1,1\n2020-01-01,1\n", Status::data, "row 3: expected seconds"},
      {"t,b\n2020-01-01,1\n5,1\n", Status::data, "row 3: expected an ISO 8601 time"},
      {"time\n1\n", Status::data, "found 0"},
      {"a,b\n1,\"2\n", Status::data, "closing quote"},
      {"a,b\n1,\"2\"3\n", Status::data, "after the closing quote"},
      {std::string("a\n1\0\n", 5), Status::data, "row 2: expected text, found a NUL byte"},
      {"a,\xff\n1,2\n", Status::data, "row 1: expected UTF-8"},
      {"a\n" + std::string(kMaxLine + 1, '1') + "\n", Status::data, "row 2: expected lines of at most"},
      {std::string(kMaxColumns, ',') + "\n", Status::data, "at most 1024 columns"},
  };
  for (const Case& c : cases) {
    const Parsed p = c.text.size() > kMaxLine ? parse_cut(c.text, 4096, {}) : parse(c.text);
    check(!p.good && p.error.status == c.status && std::strstr(p.error.message, c.part), c.part, __LINE__);
    check(!std::strchr(p.error.message, '\n'), "an error is one line", __LINE__);
  }
  CHECK(parse(std::string(kMaxColumns - 1, ',') + "\n").channels.size() == kMaxColumns);
  for (const CsvOptions& options : {CsvOptions{"x", {}, ""}, CsvOptions{"", {"x"}, ""}, CsvOptions{"", {}, "x"}}) {
    const Parsed p = parse("a,b\n1,2\n", options);
    CHECK(!p.good && p.error.status == Status::argument && std::strstr(p.error.message, "(a, b), found 'x'"));
  }
}

void test_times() {
  struct Case {
    const char* text;
    double seconds;
  };
  const Case good[] = {
      {"1970-01-01", 0.0},
      {"1970-01-01 00:00:00", 0.0},
      {"1970-01-01T00:01Z", 60.0},
      {"2024-02-29T23:59:59.123456789Z", 1709251199.123456},
      {"2024-03-01T00:00:00+01:30", 1709245800.0},
      {"1969-12-31T23:59:59.5-00:00", -0.5},
      {"2000-02-29 12:00:00", 951825600.0},
      {"9999-12-31T23:59:59", 253402300799.0},
      {"0001-01-01", -62135596800.0},
  };
  for (const Case& c : good) {
    double seconds = -1.0;
    check(parse_timestamp(c.text, &seconds) && seconds == c.seconds, c.text, __LINE__);
  }
  for (const char* bad : {"", "2023-02-29", "1900-02-29", "2023-13-01", "2023-00-01", "2023-01-00", "2023-1-1", "0000-01-01",
                          "2023-01-01T24:00", "2023-01-01T00:60", "2023-01-01T00:00:60", "2023-01-01T00:00:00.",
                          "2023-01-01T00", "2023-01-01T00:00:00+2", "2023-01-01T00:00:00+0200", "2023-01-01x",
                          "2023-01-01T00:00:00Zx", "20230101"}) {
    double seconds = 0.0;
    check(!parse_timestamp(bad, &seconds), bad, __LINE__);
  }
}

void test_period() {
  const double regular[] = {0, 1, 2, 3}, gap[] = {0, 0.1, 0.2, 100}, equal[] = {5, 5, 5}, even[] = {0, 1, 3}, far[] = {0, 1e300};
  CHECK(sample_period(nullptr, 0) == 0.0f && sample_period(regular, 1) == 0.0f);
  CHECK(sample_period(regular, 4) == 1.0f && sample_period(gap, 4) == 0.1f);
  CHECK(sample_period(equal, 3) == 0.0f);
  CHECK(sample_period(even, 3) == 1.0f);  // the lower of two
  CHECK(sample_period(far, 2) == 0.0f);   // no float32
}

void test_live() {
  const struct {
    std::size_t channels;  // wanted; 0: any number
    std::string text;
    std::vector<float> x;
    std::uint64_t rejected;
    const char* reason;  // of the last one: a part
  } cases[] = {
      {2, "", {}, 0, ""},
      {2, "1,2\nx\n3,4\n", {1, 2, 3, 4}, 1, "row 2: expected 2 columns"},
      {2, "1,2\n3,x\n5,6", {1, 2, 5, 6}, 1, "found 'x'"},
      {2, "boot\na,b\n1,2\na,b\n3,4\n", {1, 2, 3, 4}, 1, "expected 2 channel(s)"},
      {0, "boot\n1,2\n3\n", {1, 2}, 2, "row 3: expected 2 columns"},
      {0, "a,b\n1,x\n1,2\n", {1, 2}, 1, "row 2: expected a number in column 'b'"},
      {2, "1,5;2,5\n1;2\n", {1, 2}, 1, "expected names or numbers"},
      {1, "1\n" + std::string(kMaxLine + 1, '7') + "\n2\n", {1, 2}, 1, "row 2: expected lines of at most"},
      {1, std::string("1\n\0\n2\n", 6), {1, 2}, 1, "NUL"},
      {1, "t,a\n5,1\n3,2\n", {1, 2}, 0, ""},
  };
  for (const auto& c : cases) {
    CsvOptions options;
    options.live = true;
    options.channels = c.channels;
    const Parsed p = parse(c.text, options);
    check(p.good && same_bits(p.rows.x, c.x) && p.rejected == c.rejected, c.reason, __LINE__);
    check(p.reason.find(c.reason) != std::string::npos, p.reason.c_str(), __LINE__);
  }
  CsvOptions options;
  options.live = true;
  CsvReader reader(options);
  CsvRows rows;
  Error error;
  CHECK(reader.feed("1,2\n3,", 6, &rows, &error));
  reader.cut();
  CHECK(reader.rejected() == 1 && reader.feed("4,5\n", 4, &rows, &error) && rows.rows == 2 && rows.x[2] == 4.0f);
}

void test_json() {
  JsonLine line;
  CHECK(line.count("i", 3).real("s", 0.1f).flag("a", true).finish() == "{\"i\": 3, \"s\": 0.100000001, \"a\": true}\n");
  CHECK(line.text("c", "a\"b\\\n\xC2\xB0").finish() == "{\"c\": \"a\\\"b\\\\\\u000a\xC2\xB0\"}\n");
  CHECK(line.real("n", kNan).real("t", 0.1).real("z", -kInf).finish() == "{\"n\": null, \"t\": 0.1, \"z\": null}\n");
  // 9 digits bring every float32 back: the neighbours of each power of two are the hard ones.
  for (int e = -140; e < 128; ++e)
    for (const float x : {std::ldexp(1.0f, e), std::nextafterf(std::ldexp(1.0f, e), 0.0f)}) {
      const std::string text(line.real("x", x).finish());
      double back = 0.0;
      CHECK(parse_number(text.substr(6, text.size() - 8), &back) == Cell::number && static_cast<float>(back) == x);
    }
}

}  // namespace

int main() {
  test_values();
  test_columns();
  test_errors();
  test_times();
  test_period();
  test_live();
  test_json();
  if (failures == 0) std::printf("test_io passed\n");
  return failures == 0 ? 0 : 1;
}
