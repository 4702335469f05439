// The command line of sanderling-run.
#pragma once
#include <string>

#include "io/csv.h"
#include "model/engine.h"

namespace sanderling::tool {

enum class Action { score, calibrate, selftest, list_isa, version, help };

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
};

// False and an error (status argument) when the arguments make no sense.
bool parse_options(int argc, char** argv, Options* options, Error* error);

extern const char kHelp[];

}  // namespace sanderling::tool
