// Counts the engine's instructions on an emulated machine whose clock advances a fixed time an instruction (qemu -icount shift=0).
// Runs as its first process: opens /model.gguf, and for every instruction set that the processor has calibrates on a
// fixed signal and scores it. Prints one JSON object a line and switches the machine off.
//   {"isa", "mode": "patch" | "window", "samples", "instructions": the least of `repeats`, "median": theirs, "repeats", "hash": FNV-1a
//   of all the scores' bits}
#include <sys/reboot.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "model/engine.h"

namespace {

using namespace sanderling;

constexpr std::size_t reference_samples = 4096;  // 512 patches: the memory full, as in docs/model.md section 10
constexpr std::size_t patch = 8, window = 64 * patch;
constexpr std::uint64_t ns_a_second = 1000000000;

std::uint64_t ticks() {
  std::uint64_t value;
  __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value) : : "memory");
  return value;
}

std::uint64_t instructions(std::uint64_t n_ticks) {
  std::uint64_t frequency;
  __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
  return n_ticks * (ns_a_second / frequency);  // a nanosecond an instruction
}

// A sawtooth with noise, one channel; integers alone, so that every machine has the same samples.
std::vector<float> signal(std::size_t samples) {
  std::vector<float> x(samples);
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < samples; ++i) {
    state = state * 1664525u + 1013904223u;
    x[i] = static_cast<float>(static_cast<int>(i % 50) - 25) + static_cast<float>(state >> 24) * 0.0625f;
  }
  return x;
}

// The scores of `repeats` updates of `samples` each, after one window that warms the history.
bool count(const Model* model, const char* mode, std::size_t samples, std::size_t repeats, Error* error) {
  const std::vector<float> x = signal(window + samples * repeats);
  std::vector<float> scores(window);
  std::vector<std::uint64_t> counts;
  counts.reserve(repeats);
  CalibrateOptions options;
  Stream* stream = stream_open(model, 1, options, error);
  if (!stream) return false;
  Scores out;
  out.score = scores.data();
  out.capacity = scores.size();
  std::uint64_t hash = 14695981039346656037u;
  bool ok = stream_update(stream, x.data(), window, &out, error);
  for (std::size_t i = 0; ok && i < repeats; ++i) {
    const std::uint64_t start = ticks();
    ok = stream_update(stream, x.data() + window + i * samples, samples, &out, error);
    counts.push_back(instructions(ticks() - start));
    for (std::size_t k = 0; k < out.written; ++k) {
      std::uint32_t bits;
      std::memcpy(&bits, &scores[k], sizeof bits);
      hash = (hash ^ bits) * 1099511628211u;
    }
  }
  stream_close(stream);
  if (!ok) return false;
  std::sort(counts.begin(), counts.end());
  ModelInfo info;
  model_info(model, &info);
  std::printf("{\"isa\": \"%s\", \"mode\": \"%s\", \"samples\": %zu, \"instructions\": %llu, \"median\": %llu, \"repeats\": %zu, "
              "\"hash\": \"%016llx\"}\n",
              info.isa, mode, samples, static_cast<unsigned long long>(counts.front()),
              static_cast<unsigned long long>(counts[repeats / 2]), repeats, static_cast<unsigned long long>(hash));
  return true;
}

bool count_all(Error* error) {
  // The reference is calibrated once, by the fastest tier: every tier writes the same file.
  const std::vector<float> reference = signal(reference_samples);
  CalibrateOptions options;
  Model* base = model_open("/model.gguf", nullptr, error);
  Model* calibrated = base ? model_calibrate(base, reference.data(), reference_samples, 1, options, error) : nullptr;
  bool ok = calibrated && model_save(calibrated, "/calibrated.gguf", error);
  model_close(calibrated);
  model_close(base);
  for (const char* isa : {"neon_dotprod", "neon"}) {
    if (!ok) break;
    Model* model = model_open("/calibrated.gguf", isa, error);
    if (!model && error->status == Status::isa) continue;  // not on this processor
    ok = model && count(model, "patch", patch, 64, error) && count(model, "window", window, 8, error);
    model_close(model);
  }
  return ok;
}

}  // namespace

int main() {
  Error error;
  if (!count_all(&error)) std::printf("{\"error\": \"%s\"}\n", error.message);
  std::fflush(stdout);
  if (getpid() == 1) reboot(RB_POWER_OFF);
  return 0;
}
