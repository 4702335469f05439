// Streams of a group give the bytes that each would give alone: whatever company their patches had, however unevenly they are fed,
// however many threads share the work.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/pool.h"
#include "kernels/kernels.h"
#include "model/engine.h"
#include "model_bytes.h"

using namespace sanderling;

namespace {

// All results of a stream, cut to its recording's length.
struct Result {
  std::vector<float> score, channel, reconstruction, components;
  std::vector<std::uint8_t> skipped;
  std::size_t done = 0, channels, patch;

  Result(std::size_t samples, const Stream* stream) : channels(stream_outputs(stream)), patch(stream_patch(stream)) {
    const std::size_t patches = (samples + patch - 1) / patch;
    score.resize(samples);
    channel.resize(samples * channels);
    reconstruction.resize(samples * channels);
    components.resize(patches * channels * 8);
    skipped.resize(patches * channels);
  }
  Scores place() {
    Scores out;
    out.score = score.data() + done;
    out.channel_score = channel.data() + done * channels;
    out.reconstruction = reconstruction.data() + done * channels;
    out.components = components.data() + done / patch * channels * 8;
    out.skipped = skipped.data() + done / patch * channels;
    out.capacity = score.size() - done;
    return out;
  }
  bool operator==(const Result& other) const {
    const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
      return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;  // NaN included
    };
    return same(score, other.score) && same(channel, other.channel) && same(reconstruction, other.reconstruction) &&
           same(components, other.components) && skipped == other.skipped;
  }
};

Result alone(const Model* model, const std::vector<float>& x, std::size_t channels, const CalibrateOptions& options) {
  Error error;
  Stream* stream = stream_open(model, channels, options, &error);
  Result r(x.size() / channels, stream);
  Scores out = r.place();
  CHECK(stream_update(stream, x.data(), r.score.size(), &out, &error));
  r.done += out.written;
  out = r.place();
  CHECK(stream_flush(stream, &out, &error) && r.done + out.written == r.score.size());
  stream_close(stream);
  return r;
}

// Every stream has a recording of its own length, and gets chunks of its own sizes, some of them empty.
void company_does_not_show(const Model* model, std::size_t n, std::size_t channels, std::size_t samples, std::uint32_t chunk,
                           const CalibrateOptions& options) {
  Error error;
  Random random{n * 31 + channels};
  StreamGroup* group = group_open(model, n, channels, options, &error);
  if (!CHECK(group != nullptr)) return;
  CHECK(group_size(group) == n && group_stream(group, n) == nullptr);
  std::vector<std::vector<float>> x;
  std::vector<Result> results;
  for (std::size_t i = 0; i < n; ++i) {
    const Stream* stream = group_stream(group, i);
    x.push_back(recording(samples + random.below(100), channels, 100 + i, i % 2 == 1));
    results.emplace_back(x[i].size() / channels, stream);
  }
  std::vector<std::size_t> at(n);
  for (bool more = true; more;) {
    more = false;
    std::vector<const float*> from;
    std::vector<std::size_t> sizes;
    std::vector<Scores> out;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t left = results[i].score.size() - at[i];
      const std::size_t size = std::min<std::size_t>(left, random.below(chunk));
      from.push_back(x[i].data() + at[i] * channels);
      sizes.push_back(size);
      out.push_back(results[i].place());
      at[i] += size;
      more = more || left > size;
    }
    if (!CHECK(group_update(group, from.data(), sizes.data(), out.data(), &error))) break;
    for (std::size_t i = 0; i < n; ++i) results[i].done += out[i].written;
  }
  for (std::size_t i = 0; i < n; ++i) {
    Stream* stream = group_stream(group, i);
    Scores out = results[i].place();
    CHECK(stream_flush(stream, &out, &error) && results[i].done + out.written == results[i].score.size());
    CHECK(stream_samples(stream) == results[i].score.size());
    CHECK(results[i] == alone(model, x[i], channels, options));
  }
  group_close(group);
}

// A thread that was joined, or that an emulator started, is listed for a moment longer, or not yet: counted until it stays the same.
std::size_t threads_of_this_process() {
  std::size_t last = 0;
  for (int same = 0; same < 20; ::usleep(5000)) {
    std::size_t n = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) n += entry.exists() ? 1 : 0;
    same = n == last ? same + 1 : 0;
    last = n;
  }
  return last;
}

// A pool gives the same bytes, ends with its stream, and no thread is started without the option. On a machine with one processor
// there is no pool, and the same must hold.
void pool(const Model* model, std::size_t channels) {
  Error error;
  const std::size_t before = threads_of_this_process();
  CalibrateOptions options;
  const std::vector<float> x = recording(3000, channels, 77, true);
  const Result one = alone(model, x, channels, options);
  CHECK(threads_of_this_process() == before);
  options.threads = 8;
  Stream* stream = stream_open(model, channels, options, &error);
  CHECK(threads_of_this_process() == before + Pool::usable(8) - 1);
  stream_close(stream);
  CHECK(threads_of_this_process() == before);
  CHECK(alone(model, x, channels, options) == one);
  options.dynamic = true;
  const Result many = alone(model, x, channels, options);
  options.threads = 1;
  CHECK(alone(model, x, channels, options) == many);
}

// Every range once, in any number of threads; a forked child does without them.
void ranges() {
  Pool pool(8);
  CHECK(pool.size() == Pool::usable(8) && Pool::usable(1) == 1 && Pool::usable(0) == 1 && Pool::usable(1000) <= Pool::most);
  for (const std::size_t n : {0u, 1u, 7u, 8u, 9u, 64u, 129u}) {
    std::vector<std::atomic<int>> hits(n);
    for (int repeat = 0; repeat < 50; ++repeat)
      pool.run(n, [&](std::size_t first, std::size_t count, std::size_t worker) {
        if (worker >= pool.size()) std::abort();
        for (std::size_t i = first; i < first + count; ++i) ++hits[i];
      });
    CHECK(std::all_of(hits.begin(), hits.end(), [](const std::atomic<int>& h) { return h == 50; }));
  }
  const pid_t child = fork();
  if (child == 0) {
    std::size_t sum = 0;
    pool.run(100, [&](std::size_t first, std::size_t count, std::size_t) { sum += first + count; });
    _exit(sum == 100 ? 0 : 1);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
}

void refusals(const Model* model) {
  Error error;
  CHECK(group_open(nullptr, 1, 1, {}, &error) == nullptr && error.status == Status::argument);
  CHECK(group_open(model, 0, 1, {}, &error) == nullptr && error.status == Status::argument);
  CHECK(group_open(model, max_streams + 1, 1, {}, &error) == nullptr && error.status == Status::argument);
  CHECK(group_open(model, 2, 0, {}, &error) == nullptr && error.status == Status::argument);
  StreamGroup* group = group_open(model, 2, 1, {}, &error);
  float score[2][600];
  const std::vector<float> x = recording(600, 1, 1, false);
  const float* from[] = {x.data(), nullptr};
  const std::size_t sizes[] = {600, 1};
  Scores out[2];
  for (std::size_t i = 0; i < 2; ++i) {
    out[i].score = score[i];
    out[i].capacity = 600;
  }
  CHECK(!group_update(group, from, sizes, out, &error) && error.status == Status::argument);
  CHECK(stream_samples(group_stream(group, 0)) == 0);   // the good one was not taken either
  from[1] = x.data();
  CHECK(group_update(group, from, sizes, out, &error) && stream_samples(group_stream(group, 0)) == 600);
  CHECK(stream_flush(group_stream(group, 1), out + 1, &error) && !group_update(group, from, sizes, out, &error));
  CHECK(!group_update(nullptr, from, sizes, out, &error) && !group_update(group, nullptr, sizes, out, &error));
  group_close(group);
  group_close(nullptr);
}

}  // namespace

int main() {
  const Bytes bytes = random_model(Shape(), 7).finish();
  std::size_t count = 0;
  const KernelTable* const* tables = kernel_tables(&count);
  int status = 0;
  ranges();
  for (std::size_t i = 0; i < count; ++i) {
    if (!tables[i]->supported()) continue;
    Error error;
    Model* cold = model_parse(bytes.data(), bytes.size(), tables[i]->isa, &error);
    const std::vector<float> reference = recording(900, 1, 3, false), wide = recording(900, 3, 3, false);
    Model* warm = model_calibrate(cold, reference.data(), 900, 1, {}, &error);
    Model* three = model_calibrate(cold, wide.data(), 900, 3, {}, &error);
    CalibrateOptions dynamic, framed;
    dynamic.dynamic = true;
    framed.period_s = 1e-4f;
    framed.frame_ms = 1.6f;
    company_does_not_show(warm, 1, 1, 400, 50, {});
    company_does_not_show(warm, 7, 1, 900, 20, {});        // about a patch each
    company_does_not_show(warm, 5, 1, 900, 20, dynamic);
    company_does_not_show(warm, 150, 1, 60, 20, {});       // more streams than a block has rows
    company_does_not_show(three, 3, 3, 500, 90, dynamic);  // a graph each
    company_does_not_show(three, 2, 3, 900, 900, {});      // several blocks a chunk
    company_does_not_show(cold, 3, 2, 700, 300, {});       // calibrate themselves on the way
    company_does_not_show(cold, 2, 1, 16 * 530, 5000, framed);
    pool(warm, 1);
    pool(three, 3);
    refusals(cold);
    model_close(three);
    model_close(warm);
    model_close(cold);
    status |= check::report(tables[i]->isa);
  }
  return status;
}
