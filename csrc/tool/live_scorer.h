// A scorer that says what happens while it happens: alarms from their first sample on, missing values, gaps in time (docs/live.md).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tool/scorer.h"
#include "tool/spool.h"

namespace sanderling::tool {

// Something that may go on for ever is said the 1st, 2nd, 4th, 8th ... time.
class Occasion {
 public:
  bool worth_saying() {
    if (++count_ < next_) return false;
    next_ = count_ * 2;
    return true;
  }
  std::uint64_t count() const { return count_; }

 private:
  std::uint64_t count_ = 0, next_ = 1;
};

class LiveScorer : public Scorer {
 public:
  LiveScorer(const Options& options, Spool* spool) : Scorer(options), spool_(spool) {}

  // The number of channels that a calibrated model wants; 0: any.
  std::size_t wanted_channels() const { return info_.calibrated ? info_.channels : 0; }
  // Records, looks at and scores the rows.
  bool take_live(CsvRows* rows, Error* error);
  // What the reader has rejected since the last call.
  void tell_rejected();
  bool create_record(Error* error);
  bool close_record(Error* error) { return !record_.is_open() || record_.close(error); }

  // An event line: event("stall").real(...); then say().
  JsonLine& event(const char* name) { return line_.text("event", name); }
  void say() { out_.add(line_.finish()); }

  bool alarming() const { return alarm_.on; }
  bool missing() const { return missing_open_; }
  std::uint64_t alarm_count() const { return alarms_; }
  std::uint64_t missing_samples() const { return missing_; }
  std::uint64_t samples() const { return taken_; }
  float score() const { return last_score_; }
  float score_threshold() const { return threshold(); }
  std::uint64_t unspooled() const { return unspooled_; }

 protected:
  void began() override;
  void ended() override;
  void summary() override;

 private:
  void record(const CsvRows& rows);
  void look_at(const CsvRows& rows);
  void look_at_time(double t);
  void begin_record();
  void store();

  Spool* spool_;  // closed: none is wanted
  Output record_;
  bool recorded_ = false;
  std::uint64_t taken_ = 0, missing_ = 0, rejected_told_ = 0, unspooled_ = 0, dropped_told_ = 0;
  bool missing_open_ = false;          // a period with missing samples goes on
  std::uint64_t whole_ = 0, missing_here_ = 0;
  Occasion bad_lines_, gaps_, steps_back_;
  std::vector<double> first_times_;    // what the period is taken from where the model knows none
  double last_time_ = 0.0, period_s_ = 0.0;
};

}  // namespace sanderling::tool
