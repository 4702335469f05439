#include "tool/live_scorer.h"

#include <time.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace sanderling::tool {
namespace {

constexpr std::uint64_t kWhole = 64;    // whole samples that end a period with missing ones: the raw window
constexpr double kGap = 4.0;            // periods between neighbours that make a gap
constexpr std::size_t kFirstTimes = 65;
constexpr std::size_t kMaxName = 200;   // bytes of a channel's name in a spooled record

// ISO 8601, UTC; what the clock says, be it 1970. By hand: gmtime brings the C library's time zones into the static program.
std::string now_text() {
  timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const auto seconds = static_cast<std::uint64_t>(std::max<time_t>(now.tv_sec, 0));
  // Days since 0000-03-01, in eras of 400 years, so that a leap day is a year's last (Hinnant, "chrono-Compatible Low-Level Date
  // Algorithms").
  const std::uint64_t days = seconds / 86400 + 719468, second = seconds % 86400, day_of_era = days % 146097;
  const std::uint64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::uint64_t from_march = (5 * day_of_year + 2) / 153, month = from_march < 10 ? from_march + 3 : from_march - 9;
  char text[64];
  std::snprintf(text, sizeof text, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
                static_cast<unsigned>(days / 146097 * 400 + year_of_era + (month <= 2)), static_cast<unsigned>(month),
                static_cast<unsigned>(day_of_year - (153 * from_march + 2) / 5 + 1), static_cast<unsigned>(second / 3600),
                static_cast<unsigned>(second / 60 % 60), static_cast<unsigned>(second % 60), static_cast<unsigned>(now.tv_nsec / 1000000));
  return text;
}

// A cut within a character must not make the line bad UTF-8.
std::string short_name(std::string name) {
  if (name.size() <= kMaxName) return name;
  std::size_t end = kMaxName;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;
  return name.substr(0, end) + "...";
}

}  // namespace

bool LiveScorer::create_record(Error* error) {
  return options_.live.record.empty() || record_.create(options_.live.record, error);
}

bool LiveScorer::take_live(CsvRows* rows, Error* error) {
  const std::uint64_t left = options_.live.samples == 0 ? rows->rows : options_.live.samples - taken_;
  if (rows->rows > left) {
    rows->rows = static_cast<std::size_t>(left);
    rows->x.resize(rows->rows * reader_.channels().size());
    if (!rows->t.empty()) rows->t.resize(rows->rows);
  }
  Error spoiled;
  if (record_.is_open()) {
    record(*rows);
    // A full disk ends the recording, not the detector.
    if (!record_.flush(&spoiled)) record_.abandon(), event("record_error").text("why", spoiled.message), say();
  }
  look_at(*rows);
  return take(rows, error);
}

void LiveScorer::record(const CsvRows& rows) {
  const std::size_t channels = reader_.channels().size();
  std::string text;
  if (!recorded_ && rows.rows > 0) {
    text = reader_.has_time() ? "time," : "";
    for (std::size_t c = 0; c < channels; ++c) {
      text += '"';
      for (const char letter : reader_.channels()[c]) text += letter == '"' ? "\"\"" : std::string(1, letter);
      text += c + 1 < channels ? "\"," : "\"\n";
    }
    // Without names numbers follow numbers.
    if (!reader_.named() && !reader_.has_time()) text.clear();
    recorded_ = true;
  }
  char digits[32];
  for (std::size_t i = 0; i < rows.rows; ++i) {
    if (reader_.has_time()) text.append(digits, std::to_chars(digits, digits + sizeof digits, rows.t[i]).ptr) += ',';
    for (std::size_t c = 0; c < channels; ++c) {
      const float value = rows.x[i * channels + c];
      if (std::isfinite(value))
        text.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
      else
        text += std::isnan(value) ? "nan" : value > 0.0f ? "inf" : "-inf";
      text += c + 1 < channels ? ',' : '\n';
    }
  }
  record_.add(text);
}

void LiveScorer::look_at(const CsvRows& rows) {
  const std::size_t channels = reader_.channels().size();
  for (std::size_t i = 0; i < rows.rows; ++i) {
    if (!rows.t.empty()) look_at_time(rows.t[i]);
    std::string names;
    for (std::size_t c = 0; c < channels && (names.size() <= kMaxName); ++c)
      if (!std::isfinite(rows.x[i * channels + c])) names += (names.empty() ? "" : ", ") + reader_.channels()[c];
    if (!names.empty()) {
      ++missing_;
      ++missing_here_;
      whole_ = 0;
      if (!missing_open_) event("missing").count("sample", taken_).text("channels", short_name(names)), say();
      missing_open_ = true;
    } else if (missing_open_ && ++whole_ == kWhole) {
      event("complete").count("sample", taken_).count("missing", missing_here_), say();
      missing_open_ = false;
      missing_here_ = 0;
    }
    ++taken_;
  }
}

void LiveScorer::look_at_time(double t) {
  const double step = t - last_time_;
  const bool first = taken_ == 0;
  if (period_s_ == 0.0) {
    period_s_ = static_cast<double>(info_.calibrated ? info_.period_s : options_.calibration.period_s);
    if (period_s_ == 0.0 && first_times_.size() < kFirstTimes) {
      first_times_.push_back(t);
      if (first_times_.size() == kFirstTimes)
        period_s_ = static_cast<double>(sample_period(first_times_.data(), first_times_.size()));
    }
  }
  if (!first && period_s_ > 0.0 && step > kGap * period_s_ && gaps_.worth_saying())
    event("gap").count("sample", taken_).real("t", t).real("seconds", step).count("gaps", gaps_.count()), say();
  if (!first && step < 0.0 && steps_back_.worth_saying())
    event("clock_back").count("sample", taken_).real("t", t).real("seconds", -step).count("times", steps_back_.count()), say();
  last_time_ = t;
}

void LiveScorer::tell_rejected() {
  bool worth = false;
  for (; rejected_told_ < reader_.rejected(); ++rejected_told_) worth |= bad_lines_.worth_saying();
  if (worth) event("bad_line").count("lines", reader_.rejected()).text("why", reader_.reason()), say();
}

void LiveScorer::began() {
  begin_record();
  line_.text("event", "alarm_on").count("alarm", alarms_).count("start", alarm_.start);
  if (reader_.has_time()) line_.real("t_start", alarm_.t_start);
  line_.real("score", alarm_.peak).real("threshold", threshold()).text("channel", short_name(output_name(alarm_.channel)));
  store();
}

void LiveScorer::ended() {
  begin_record();
  line_.text("event", "alarm_off");
  alarm_fields(&line_);
  store();
}

void LiveScorer::begin_record() {
  if (spool_->is_open()) line_.count("seq", spool_->next()).text("spool", spool_->id()).text("at", now_text());
}

// The record goes to the spool before anybody hears of it.
void LiveScorer::store() {
  const std::string line(line_.finish());
  Error error;
  const bool kept = !spool_->is_open() || spool_->append(line, &error);
  out_.add(line);
  if (!kept) event("spool_error").count("lost", ++unspooled_).text("why", error.message), say();
  if (spool_->dropped() > dropped_told_) {
    dropped_told_ = spool_->dropped();
    event("spool_full").count("dropped", dropped_told_), say();
  }
}

void LiveScorer::summary() {
  Scorer::summary();
  line_.count("bad_lines", reader_.rejected()).count("missing", missing_);
  if (spool_->is_open()) line_.count("pending", spool_->pending()).count("dropped", spool_->dropped() + unspooled_);
}

}  // namespace sanderling::tool
