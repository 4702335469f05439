// The command line of sanderling-run.
#pragma once
#include <cstdint>
#include <string>

#include "io/csv.h"
#include "model/engine.h"

namespace sanderling::tool {

enum class Action { score, calibrate, selftest, list_isa, version, help };

// docs/live.md
struct LiveOptions {
  bool on = false;            // --live, or the input is a serial port or an IIO device
  double stall_s = 10.0;      // no sample for so long is an event; 0: never
  double retry_s = 0.5;       // the first delay before a source or a command is tried again
  std::uint64_t samples = 0;  // end after so many; 0: never
  std::string record;         // what was scored, as CSV
  std::string spool;          // the folder that keeps alarms until they are delivered
  std::uint64_t spool_bytes = std::uint64_t{4} << 20;
  std::string on_alarm;       // the command that delivers one
  std::string metrics;        // Prometheus' text format, for its textfile collector
};

struct Options {
  Action action = Action::score;
  std::string model;           // path; may be empty for selftest only
  std::string input = "-";     // the CSV file; "-": standard input
  std::string reference;       // calibrate: the CSV file of normal behaviour; "-": standard input
  std::string output;          // calibrate: the file to write
  std::string scores_bin;      // raw little-endian float32 scores go here
  std::string isa;             // empty: SANDERLING_ISA, then the best supported
  bool scores = false;         // a line a sample
  bool period_given = false;   // else calibrate takes the period from the time column
  CsvOptions csv;
  CalibrateOptions calibration;
  LiveOptions live;
};

// False and an error (status argument) when the arguments make no sense.
bool parse_options(int argc, char** argv, Options* options, Error* error);

extern const char kHelp[];

}  // namespace sanderling::tool
