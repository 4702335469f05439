// The CSV reader on any bytes: no crash, and the same rows and the same verdict however the text is cut.
// Byte 0 chooses the cut, byte 1 the options; the rest is the text.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "io/csv.h"

namespace {

using namespace sanderling;

struct Outcome {
  bool good = true;
  Error error;
  CsvRows rows;
  float period = 0.0f;
  std::uint64_t rejected = 0;
};

Outcome parse(const char* text, std::size_t size, std::size_t cut, const CsvOptions& options) {
  Outcome outcome;
  CsvReader reader(options);
  for (std::size_t at = 0; at < size && outcome.good; at += cut)
    outcome.good = reader.feed(text + at, size - at < cut ? size - at : cut, &outcome.rows, &outcome.error);
  outcome.good = outcome.good && reader.finish(&outcome.rows, &outcome.error);
  const std::size_t channels = reader.channels().size();
  if (options.live && !outcome.good) std::abort();  // no line ends it
  outcome.rejected = reader.rejected();
  if (options.live && channels == 0 && reader.rows() == 0) return outcome;
  if (outcome.good && (channels == 0 || channels > kMaxColumns || reader.rows() != outcome.rows.rows)) std::abort();
  if (outcome.good && outcome.rows.x.size() != outcome.rows.rows * channels) std::abort();
  if (outcome.good && outcome.rows.t.size() != (reader.has_time() ? outcome.rows.rows : 0)) std::abort();
  if (!outcome.good && (outcome.error.status == Status::ok || !outcome.error.message[0])) std::abort();
  outcome.period = sample_period(outcome.rows.t.data(), outcome.rows.t.size());
  if (!(outcome.period >= 0.0f)) std::abort();
  return outcome;
}

template <typename T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  CsvOptions options;
  if (data[1] & 1) options.time = "a";
  if (data[1] & 2) options.columns = {"b", "0"};
  if (data[1] & 4) options.label = "label";
  options.live = (data[1] & 8) != 0;
  options.channels = options.live && (data[1] & 16) ? 2 : 0;
  const char* const text = reinterpret_cast<const char*>(data) + 2;
  const std::size_t cut = 1 + data[0] % 61;
  const Outcome whole = parse(text, size - 2, size, options);
  const Outcome chunks = parse(text, size - 2, cut, options);
  if (whole.good != chunks.good || whole.error.status != chunks.error.status) std::abort();
  if (std::strcmp(whole.error.message, chunks.error.message) != 0) std::abort();
  if (whole.rejected != chunks.rejected) std::abort();
  if (!same(whole.rows.t, chunks.rows.t) || !same(whole.rows.x, chunks.rows.x)) std::abort();
  return 0;
}
