// Scoring a recording: the input ends, and a line that can't be read ends it too.
#include <vector>

#include "tool/notify.h"
#include "tool/scorer.h"
#include "tool/tool.h"

namespace sanderling::tool {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 16;

bool read_all(Input* input, Scorer* scorer, Error* error) {
  std::vector<char> buffer(kReadBytes);
  CsvRows rows;
  for (;;) {
    std::size_t size = 0;
    switch (input->read(buffer.data(), buffer.size(), &size, error)) {
      case Input::Read::failed: return false;
      case Input::Read::interrupted: return scorer->end_alarm(), true;
      case Input::Read::end:
        if (!scorer->reader().finish(&rows, error) || !scorer->take(&rows, error) || !scorer->flush(error)) return false;
        return scorer->end_alarm(), true;
      case Input::Read::data: break;
    }
    // Rows before a bad one are scored and printed before its error is told.
    Error bad_text;
    const bool good = scorer->reader().feed(buffer.data(), size, &rows, &bad_text);
    if (!scorer->take(&rows, error) || !scorer->out().flush(error)) return false;
    if (!good) return *error = bad_text, false;
  }
}

}  // namespace

int run_score(const Options& options) {
  if (options.live.on) return run_live(options);
  Error error;
  Scorer scorer(options);
  Input input;
  bool good = scorer.open(&error) && input.open(options.input, &error) && scorer.create_outputs(&error);
  if (good) notify("READY=1");
  good = good && read_all(&input, &scorer, &error) && scorer.summarise(&error);
  notify("STOPPING=1");
  return good || scorer.broken() ? 0 : report(error);
}

}  // namespace sanderling::tool
