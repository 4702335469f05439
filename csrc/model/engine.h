// The engine: open a native model, calibrate it, score recordings in chunks. C++17, no exceptions, no printing, no threads but those
// that a stream was asked for.
// Memory is taken when a model is opened, a stream is opened or a calibration runs; stream_update and stream_flush take none.
// The arithmetic is docs/model.md; the file is docs/format.md.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sanderling {

enum class Status : int {
  ok = 0,
  argument,       // the caller's mistake: shapes, counts, option values
  isa,            // unknown or unsupported instruction set name
  model_format,   // not a valid native file (truncated, corrupt, hostile)
  model_version,  // a valid container of another schema version
  data,           // the recording cannot be used (too short, ...)
  io,             // the operating system said no
  memory,         // allocation failed
  environment,    // floating-point environment is not the default (FTZ, DAZ, rounding mode)
};

// What was expected, what was found, what to do; one line, UTF-8, always terminated.
struct Error {
  Status status = Status::ok;
  char message[512] = {0};
};

struct ModelInfo {
  char variant[64];
  char isa[24];                 // the running kernel table
  std::uint32_t d_model, n_layers, window, levels, memory_tokens;
  std::uint32_t patch, cold_samples, min_reference;  // in the recording's samples, also where the file has frames
  std::uint32_t frame_samples;  // samples a frame (docs/frames.md); 0: no frames
  bool calibrated;
  std::uint32_t channels;       // of the recording; calibrated files only, else 0
  std::uint32_t outputs;        // columns of channel_score: the channels, or channels x frame features; 0 where channels is
  std::uint32_t reference_samples;
  char scaling[16];
  float threshold, false_alarms, period_s;
  std::uint64_t weight_bytes;   // resident weights, as stored
};

class Model;
class Stream;

// Opens and checks a file (mmap). isa: nullptr or "" = environment variable SANDERLING_ISA, then the best supported.
Model* model_open(const char* path, const char* isa, Error* error);
// The same from memory (copied); used by fuzzing and by embedded callers.
Model* model_parse(const std::uint8_t* data, std::size_t size, const char* isa, Error* error);
void model_close(Model* model);                       // nullptr is fine; streams must be closed first
void model_info(const Model* model, ModelInfo* info);

struct CalibrateOptions {
  bool standard_scaling = false;   // false: robust
  float false_alarms = 1.0f;       // wanted per day (period_s > 0) or per 10,000 samples
  float period_s = 0.0f;           // seconds a sample; 0: unknown
  float frame_ms = -1.0f;          // milliseconds a frame; 0: no frames; below 0: chosen (docs/frames.md section 4)
  std::size_t threads = 1;         // a stream's: at most so many share the work of a block, and no more than there are processors
  bool dynamic = false;            // a stream's: ordinary tokens skip the network (docs/model.md section 12); no calibration's
};

// Calibration on a normal recording x [samples][channels] (NaN = missing). Returns a new calibrated model that needs nothing of
// `base` afterwards (the file may be shared inside). docs/model.md section 8.
Model* model_calibrate(const Model* base, const float* x, std::size_t samples, std::size_t channels,
                       const CalibrateOptions& options, Error* error);

// Writes temporary file + fsync + rename (+ fsync of the folder). Same model, same bytes, on every machine.
bool model_save(const Model* model, const char* path, Error* error);

// Where results go; any pointer may be nullptr. Capacity in samples; stream_update needs room for pending + n samples, at most
// n + patch - 1. patch and outputs are the stream's (stream_patch, stream_outputs).
struct Scores {
  float* score = nullptr;          // [capacity]
  float* channel_score = nullptr;  // [capacity][outputs]: score_c of docs/model.md section 7
  float* reconstruction = nullptr; // [capacity][outputs]: x_hat in the recording's units, or those of the frames (NaN while cold
                                   // and where dynamic mode skipped the patch)
  float* components = nullptr;     // [ceil(capacity / patch)][outputs][8]: normalised l_k a patch (0 while cold)
  std::uint8_t* skipped = nullptr; // [ceil(capacity / patch)][outputs]: 1 where dynamic mode skipped the patch, else 0
  std::size_t capacity = 0;        // samples
  std::size_t written = 0;         // out: samples
};

// A stream over `channels` channels. Uncalibrated model: cold start. Calibrated: channels must equal the file's.
// options give dynamic, and false_alarms / period_s for the cold threshold and the frames; these are ignored for a calibrated
// model, but a period_s that isn't that of its frames is an error.
Stream* stream_open(const Model* model, std::size_t channels, const CalibrateOptions& options, Error* error);
bool stream_update(Stream* stream, const float* x, std::size_t samples, Scores* out, Error* error);
bool stream_flush(Stream* stream, Scores* out, Error* error);   // the tail; afterwards the stream is ended
float stream_threshold(const Stream* stream);                   // NaN while cold has not been decided
std::uint64_t stream_samples(const Stream* stream);             // samples taken so far
std::uint64_t stream_tokens(const Stream* stream);              // patches x outputs scored so far, a cold start's reference included
std::uint64_t stream_skipped(const Stream* stream);             // of these, the ones that dynamic mode skipped
std::size_t stream_patch(const Stream* stream);                 // samples that get their scores together: 8, or 8 frames of them
std::size_t stream_outputs(const Stream* stream);               // columns of channel_score
std::uint64_t stream_cold_samples(const Stream* stream);        // samples at the start that score 0; 0 when calibrated
std::size_t stream_frame_samples(const Stream* stream);         // samples a frame; 0: no frames

// Streams of one model that share an engine: the patches that an update completes go through the network together, as the rows of one
// matrix product, so that many slow signals cost less than their sum. A stream's results are those it would give alone, byte for byte.
class StreamGroup;
constexpr std::size_t max_streams = 65536;
// n streams as stream_open opens one. They may be asked and fed one by one as well; group_close closes them.
StreamGroup* group_open(const Model* model, std::size_t n, std::size_t channels, const CalibrateOptions& options, Error* error);
std::size_t group_size(const StreamGroup* group);
Stream* group_stream(StreamGroup* group, std::size_t i);        // nullptr beyond the end
// x[i], samples[i], out[i] as in stream_update of stream i; samples may be 0. A false return has changed no stream.
bool group_update(StreamGroup* group, const float* const* x, const std::size_t* samples, Scores* out, Error* error);
void group_close(StreamGroup* group);

// The names of the frames' features: output k of a stream with frames is feature k % count of channel k / count.
const char* const* frame_feature_list(std::size_t* count);
void stream_close(Stream* stream);

// A stream's memory as bytes, so that any stream of the same model and channels goes on where it stopped, byte for byte: for who keeps
// the memory of many streams elsewhere. Only between streams of one version of this library on one kind of machine; take none from
// strangers: what is wrong in size or range is refused, what is plausible is believed.
void stream_restart(Stream* stream);                              // as stream_open left it
std::size_t stream_state_bytes(const Stream* stream);             // changes as samples come; 0 of a stream that was flushed
void stream_state_save(const Stream* stream, std::uint64_t model, std::uint8_t* to);
// model: what save was told, the caller's name for the model. A false return leaves the stream restarted.
bool stream_state_restore(Stream* stream, std::uint64_t model, const std::uint8_t* from, std::size_t size, Error* error);
// What a state is of, without a stream to restore: for who has to open one. Fills channels and what the stream was opened with.
bool stream_state_request(const std::uint8_t* from, std::size_t size, std::size_t* channels, CalibrateOptions* options, Error* error);

// The frames of a recording, for a look at what the model sees: x [samples][channels], frames
// [samples / frame_samples][channels][features]. isa as in model_open.
bool make_frames(const char* isa, const float* x, std::size_t samples, std::size_t channels, std::size_t frame_samples, float* frames,
                 Error* error);

// The names compiled in, best first, comma-separated, and whether the default floating-point environment is on.
const char* isa_names();
bool float_environment_ok();

}  // namespace sanderling
