// Rows in, patches through the stream, JSON lines out; memory does not grow with the recording.
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "io/csv.h"
#include "io/json.h"
#include "model/engine.h"
#include "tool/options.h"
#include "tool/system.h"

namespace sanderling::tool {

struct CloseModel {
  void operator()(Model* m) const { model_close(m); }
};
struct CloseStream {
  void operator()(Stream* s) const { stream_close(s); }
};

// The run of samples above the threshold that is going on.
struct Alarm {
  bool on = false;
  std::uint64_t start = 0, end = 0;
  double t_start = 0.0, t_end = 0.0;
  float peak = 0.0f;
  std::size_t channel = 0;
};

class Scorer {
 public:
  explicit Scorer(const Options& options) : options_(options), reader_(options.csv) {}
  virtual ~Scorer() = default;
  bool open(Error* error);
  // After the input was found to be there: creating truncates.
  bool create_outputs(Error* error);
  // Takes what the reader has put into `rows`, and clears it.
  bool take(CsvRows* rows, Error* error);
  // The last, incomplete patch.
  bool flush(Error* error);
  void end_alarm();
  bool summarise(Error* error);
  bool broken() const { return out_.broken(); }
  CsvReader& reader() { return reader_; }
  Output& out() { return out_; }

 protected:
  // An alarm has begun at its first sample; it has ended (the line of an alarm, unless every sample has its own).
  virtual void began() {}
  virtual void ended();
  // The fields of the summary line.
  virtual void summary();
  std::string output_name(std::size_t output) const;
  void alarm_fields(JsonLine* line) const;
  float threshold() const;  // NaN while a cold start has not decided it

  const Options& options_;
  CsvReader reader_;
  Output out_;
  JsonLine line_;
  ModelInfo info_ = {};
  Alarm alarm_;
  std::uint64_t index_ = 0, alarms_ = 0, nan_ = 0, cold_ = 0;
  float last_score_ = 0.0f;
  std::unique_ptr<Model, CloseModel> model_;  // before the stream: closed after it
  std::unique_ptr<Stream, CloseStream> stream_;

 private:
  bool open_stream(Error* error);
  bool emit(Error* error);
  void sample(float score, const float* channel_score);

  Output bin_;
  std::vector<float> score_, channel_score_;
  std::deque<double> times_;  // of the samples whose scores are not out yet
  std::size_t outputs_ = 0;   // columns of channel_score_
  Scores scores_;
};

}  // namespace sanderling::tool
