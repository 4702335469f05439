// The selftest: is this processor computing what the reference computes?
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <vector>

#include "tool/system.h"
#include "tool/tool.h"

namespace sanderling::tool {
namespace {

// A triangle wave a channel with noise, a step and a gap, from integers only: the same bits everywhere.
std::vector<float> generated_signal(std::size_t samples, std::size_t channels) {
  std::vector<float> x(samples * channels);
  std::uint32_t noise = 88172645u;
  for (std::size_t i = 0; i < samples; ++i)
    for (std::size_t c = 0; c < channels; ++c) {
      noise ^= noise << 13, noise ^= noise >> 17, noise ^= noise << 5;  // xorshift32, Marsaglia 2003
      const std::size_t period = 40 + 13 * (c % 8), phase = i % period;
      const auto triangle = static_cast<float>(phase < period / 2 ? phase : period - phase);
      const float step = i > samples * 7 / 8 ? 25.0f : 0.0f;
      const bool gap = i % 97 == 90;
      x[i * channels + c] = gap ? __builtin_nanf("") : triangle + static_cast<float>(noise >> 24) / 64.0f + step;
    }
  return x;
}

// Whole-recording scores on one instruction set; empty on an error.
std::vector<float> scores_on(const Options& options, const char* isa, Error* error) {
  std::vector<float> scores;
  Model* const model = model_open(options.model.c_str(), isa, error);
  if (!model) return scores;
  ModelInfo info;
  model_info(model, &info);
  // Cold: beyond the cold part, so that calibration is checked too. Calibrated: a few patches of every channel.
  const std::size_t channels = info.calibrated ? info.channels : 2;
  const std::size_t samples = info.calibrated ? 16 * info.patch : info.cold_samples + 125;  // with a tail
  const std::vector<float> x = generated_signal(samples, channels);
  Stream* const stream = stream_open(model, channels, CalibrateOptions{}, error);
  if (stream) {
    scores.resize(samples + 2 * info.patch);
    Scores head, tail;
    head.score = scores.data();
    head.capacity = scores.size();
    bool good = stream_update(stream, x.data(), samples, &head, error);
    tail.score = scores.data() + head.written;
    tail.capacity = scores.size() - head.written;
    good = good && stream_flush(stream, &tail, error);
    scores.resize(good ? head.written + tail.written : 0);
  }
  stream_close(stream);
  model_close(model);
  return scores;
}

// FNV-1a over the bytes, to compare machines by eye.
std::uint64_t hash_of(const std::vector<float>& scores) {
  std::uint64_t hash = 14695981039346656037ULL;
  const auto* const bytes = reinterpret_cast<const unsigned char*>(scores.data());
  for (std::size_t i = 0; i < scores.size() * sizeof(float); ++i) hash = (hash ^ bytes[i]) * 1099511628211ULL;
  return hash;
}

// Into a pipe too, what was said goes out before the error: who runs this shows the last line.
int ended(const Error& error) {
  std::fflush(stdout);
  return report(error);
}

int failed(const char* what, const char* found) {
  std::printf("selftest failed: %s: %s\n", what, found);
  return 1;
}

}  // namespace

int run_selftest(const Options& options) {
  Error error;
  if (!options.model.empty() && !readable_file(options.model, &error)) return ended(error);
  std::size_t count = 0;
  const KernelTable* const* const tables = kernel_tables(&count);
  const KernelTable& reference = *tables[count - 1];
  if (!options.isa.empty()) {
    const char* why = nullptr;
    if (!select_kernels(options.isa.c_str(), &why)) {
      error.status = Status::isa;
      std::snprintf(error.message, sizeof error.message, "--isa: expected one of %s on this processor, found '%.40s' (%s); "
                    "see --list-isa", isa_names(), options.isa.c_str(), why ? why : "unknown");
      return ended(error);
    }
  }

  if (!float_environment_ok())
    return failed("floating-point environment", "not the default (rounding mode, FTZ or DAZ); undo what changed it");
  std::printf("floating-point environment: default\n");

  std::vector<float> expected;
  if (!options.model.empty()) {
    expected = scores_on(options, reference.isa, &error);
    if (expected.empty()) return ended(error);
  }
  std::string ran;
  for (std::size_t i = 0; i < count; ++i) {
    const KernelTable& table = *tables[i];
    if (!options.isa.empty() && options.isa != table.isa) continue;
    if (!table.supported()) {
      std::printf("%s: not on this processor\n", table.isa);
      continue;
    }
    if (const char* const kernel = first_unequal_kernel(reference, table)) {
      std::printf("%s: kernel %s differs from the reference\n", table.isa, kernel);
      return failed(table.isa, kernel);
    }
    std::printf("%s: kernels equal the reference\n", table.isa);
    if (!options.model.empty()) {
      const std::vector<float> found = &table == &reference ? expected : scores_on(options, table.isa, &error);
      if (found.empty()) return ended(error);
      if (found.size() != expected.size() || std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)) != 0)
        return failed(table.isa, "scores differ from the reference");
      std::printf("%s: %zu scores equal the reference, fnv1a %016" PRIx64 "\n", table.isa, found.size(), hash_of(found));
    }
    std::fflush(stdout);
    ran += (ran.empty() ? "" : ", ") + std::string(table.isa);
  }
  std::printf("selftest passed: ISA %s\n", ran.c_str());
  return 0;
}

}  // namespace sanderling::tool
