// Calibration on the device: the whole reference part in memory, one file out.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "io/json.h"
#include "tool/system.h"
#include "tool/tool.h"

namespace sanderling::tool {
namespace {

constexpr std::size_t kMaxReferenceBytes = std::size_t{1} << 30;

// Grows by doubling and says so when memory ends, where std::vector would abort.
template <typename T>
class Samples {
 public:
  ~Samples() { std::free(data_); }
  bool append(const std::vector<T>& more, Error* error) {
    if (size_ + more.size() > kMaxReferenceBytes / sizeof(T)) {
      error->status = Status::data;
      std::snprintf(error->message, sizeof error->message,
                    "expected a reference of at most %zu bytes as float32, found more; give a shorter normal recording",
                    kMaxReferenceBytes);
      return false;
    }
    if (size_ + more.size() > capacity_) {
      const std::size_t wanted = 2 * (size_ + more.size());
      T* const grown = static_cast<T*>(std::realloc(data_, wanted * sizeof(T)));
      if (!grown) {
        error->status = Status::memory;
        std::snprintf(error->message, sizeof error->message,
                      "expected %zu bytes of memory for the reference, found less; give a shorter normal recording",
                      wanted * sizeof(T));
        return false;
      }
      data_ = grown;
      capacity_ = wanted;
    }
    if (!more.empty()) std::memcpy(data_ + size_, more.data(), more.size() * sizeof(T));
    size_ += more.size();
    return true;
  }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0, capacity_ = 0;
};

bool read_reference(const Options& options, CsvReader* reader, Samples<float>* x, Samples<double>* t, Error* error) {
  Input input;
  if (!input.open(options.reference, error)) return false;
  std::vector<char> buffer(std::size_t{1} << 16);
  CsvRows rows;
  for (;;) {
    std::size_t size = 0;
    const Input::Read read = input.read(buffer.data(), buffer.size(), &size, error);
    if (read == Input::Read::failed) return false;
    if (read == Input::Read::interrupted) {
      error->status = Status::io;
      std::snprintf(error->message, sizeof error->message, "expected the whole reference, found an interruption; start again");
      return false;
    }
    const bool end = read == Input::Read::end;
    if (end ? !reader->finish(&rows, error) : !reader->feed(buffer.data(), size, &rows, error)) return false;
    if (!x->append(rows.x, error) || !t->append(rows.t, error)) return false;
    if (end) return true;
    rows.clear();
  }
}

bool calibrate(const Options& options, const Model* base, Error* error) {
  CsvReader reader(options.csv);
  Samples<float> x;
  Samples<double> t;
  if (!read_reference(options, &reader, &x, &t, error)) return false;
  CalibrateOptions wanted = options.calibration;
  if (!options.period_given) wanted.period_s = sample_period(t.data(), t.size());
  Model* const model = model_calibrate(base, x.data(), reader.rows(), reader.channels().size(), wanted, error);
  if (!model) return false;
  ModelInfo info;
  model_info(model, &info);
  const bool saved = model_save(model, options.output.c_str(), error);
  model_close(model);
  if (!saved) return false;

  JsonLine line;
  line.text("calibrated", options.output).count("samples", info.reference_samples).count("channels", info.channels);
  line.text("scaling", info.scaling).real("false_alarms", info.false_alarms).real("period_s", info.period_s);
  if (info.frame_samples > 0) line.count("frame_samples", info.frame_samples);
  line.real("threshold", info.threshold).text("isa", info.isa).count("equal_timestamps", reader.equal_timestamps());
  Output out;
  out.to_stdout();
  out.add(line.finish());
  return out.flush(error) || out.broken();
}

}  // namespace

int run_calibrate(const Options& options) {
  Error error;
  if (!readable_file(options.model, &error)) return report(error);
  Model* const base = model_open(options.model.c_str(), options.isa.c_str(), &error);
  if (!base) return report(error);
  const bool done = calibrate(options, base, &error);
  model_close(base);
  return done ? 0 : report(error);
}

}  // namespace sanderling::tool
