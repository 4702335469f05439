#include "calibration.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace sanderling {
namespace {

constexpr std::size_t n_tensors = 17;
// Statistics beyond this come from no recording; below it no difference or quotient of the scorer overflows.
constexpr float statistic_limit = 1e30f;
constexpr float float_limit = 3.4028235e38f;
// calibrate() never stores a smaller spread of a component; of the samples' spread any normal positive number is sound.
constexpr float least_comp_spread = 1e-3f;
constexpr float least_spread = 1e-30f;
// Of a channel that nothing predicts, what variation and prediction error add to the fusion; and the least variation that counts as one.
constexpr float erratic[n_components] = {0.0f, 0.0f, 0.0f, 0.5f, 0.0f, 0.0f, 0.0f, 1.5f};
constexpr float least_variation = 0.3f;
// Of noise, how far its windows lie from the nearest over how much it varies: the squares' weights add up to 64, a short window's nearest is nearer.
constexpr float expected_distance = 5.6f;

// The table of cal.* tensors: one list for the reader and the writer. A scale is the largest magnitude / 127, and rows are
// normalised (metric) or squashed (raw), so scales stay below 1.
struct Field {
  TensorOut out;
  float least, most;
};

void fields(const Calibration& c, Field (&list)[n_tensors]) {
  const std::uint64_t C = c.channels, M = c.rows, N = c.raw_rows;
  const Field table[n_tensors] = {
      {{"cal.location", TensorType::f32, 1, {C}, c.location}, -float_limit, float_limit},
      {{"cal.spread", TensorType::f32, 1, {C}, c.spread}, least_spread, float_limit},
      {{"cal.level", TensorType::f32, 1, {C}, c.level}, 0.0f, 1.0f},
      {{"cal.voice", TensorType::f32, 1, {C}, c.voice}, 0.0f, 1.0f},
      {{"cal.offset", TensorType::f32, 1, {C}, c.offset}, -statistic_limit, statistic_limit},
      {{"cal.tail", TensorType::f32, 1, {C}, c.tail}, least_tail, statistic_limit},
      {{"cal.base", TensorType::f32, 1, {C}, c.base}, -statistic_limit, statistic_limit},
      {{"cal.comp_center", TensorType::f32, 2, {C, n_components}, c.comp_center}, -statistic_limit, statistic_limit},
      {{"cal.comp_spread", TensorType::f32, 2, {C, n_components}, c.comp_spread}, least_comp_spread, statistic_limit},
      {{"cal.pos", TensorType::i32, 1, {M}, c.pos}, 0, 0},
      {{"cal.metric", TensorType::i8, 4, {C, metric_heads, M, head_dim}, c.metric}, 0, 0},
      {{"cal.metric.scale", TensorType::f32, 3, {C, metric_heads, M}, c.metric_scale}, 0.0f, 1.0f},
      {{"cal.raw_pos", TensorType::i32, 1, {N}, c.raw_pos}, 0, 0},
      {{"cal.raw", TensorType::i8, 3, {C, N, raw_samples[0]}, c.raw[0].rows}, 0, 0},
      {{"cal.raw.scale", TensorType::f32, 2, {C, N}, c.raw[0].scale}, 0.0f, 1.0f},
      {{"cal.short", TensorType::i8, 3, {C, N, raw_samples[1]}, c.raw[1].rows}, 0, 0},
      {{"cal.short.scale", TensorType::f32, 2, {C, N}, c.raw[1].scale}, 0.0f, 1.0f},
  };
  std::memcpy(list, table, sizeof table);
}

std::size_t bytes_of(const TensorOut& out) {
  std::uint64_t count = tensor_item_bytes(out.type);
  for (std::uint32_t i = 0; i < out.rank; ++i) count *= out.shape[i];
  return static_cast<std::size_t>(count);
}

bool check_positions(const char* name, const std::int32_t* pos, std::size_t rows, std::int64_t end, Error* error) {
  for (std::size_t j = 0; j < rows; ++j)
    if (pos[j] < 0 || pos[j] >= end || (j > 0 && pos[j] <= pos[j - 1]))
      return fail(error, Status::model_format, "expected %s ascending below %lld, found %d at %zu; calibrate again", name,
                  static_cast<long long>(end), pos[j], j);
  return true;
}

// Rows of a position tensor: there are no more of them than positions.
bool read_rows(const GgufFile& file, const char* name, std::size_t most, std::size_t* rows, Error* error) {
  const GgufTensor* pos = file.find_tensor(name);
  if (pos == nullptr || pos->shape[0] > most)
    return fail(error, Status::model_format, "expected %s of at most %zu rows, found %s; calibrate again", name, most,
                pos == nullptr ? "none" : "more");
  *rows = static_cast<std::size_t>(pos->shape[0]);
  return true;
}

}  // namespace

float quantised_norm(const std::int8_t* q, float scale, std::size_t n) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += q[i] * q[i];
  return (scale * scale) * static_cast<float>(sum);
}

void Calibration::place(Arena& arena, const KernelTable& kernels, std::size_t n_channels, MemoryShape memory) {
  channels = n_channels;
  rows = memory.metric;
  raw_rows = memory.raw;
  location = arena.take<float>(channels);
  spread = arena.take<float>(channels);
  level = arena.take<float>(channels);
  voice = arena.take<float>(channels);
  offset = arena.take<float>(channels);
  tail = arena.take<float>(channels);
  base = arena.take<float>(channels);
  fusion = arena.take<float>(channels * n_components);
  comp_center = arena.take<float>(channels * n_components);
  comp_spread = arena.take<float>(channels * n_components);
  pos = arena.take<std::int32_t>(rows);
  metric = arena.take<std::int8_t>(channels * metric_heads * rows * head_dim);
  metric_scale = arena.take<float>(channels * metric_heads * rows);
  raw_pos = arena.take<std::int32_t>(raw_rows);
  metric_bytes = (kernels.qgemm_size(rows, head_dim) + 63) / 64 * 64;
  metric_packed = arena.take<std::uint8_t>(channels * metric_heads * metric_bytes);
  for (std::size_t w = 0; w < n_raw; ++w) {
    RawMemory& m = raw[w];
    m.rows = arena.take<std::int8_t>(channels * raw_rows * raw_samples[w]);
    m.scale = arena.take<float>(channels * raw_rows);
    m.norm = arena.take<float>(channels * raw_rows);
    m.bytes = (kernels.qgemm_size(raw_rows, raw_samples[w]) + 63) / 64 * 64;
    m.packed = arena.take<std::uint8_t>(channels * m.bytes);
  }
}

void Calibration::pack(const KernelTable& kernels) {
  for (std::size_t i = 0; i < channels * metric_heads; ++i)
    kernels.qgemm_pack(metric + i * rows * head_dim, rows, head_dim, metric_packed + i * metric_bytes);
  pack_raw(kernels);
}

void Calibration::pack_raw(const KernelTable& kernels) {
  for (std::size_t w = 0; w < n_raw; ++w) {
    const RawMemory& m = raw[w];
    const std::size_t n = raw_samples[w];
    for (std::size_t c = 0; c < channels; ++c) kernels.qgemm_pack(m.rows + c * raw_rows * n, raw_rows, n, m.packed + c * m.bytes);
    for (std::size_t i = 0; i < channels * raw_rows; ++i) m.norm[i] = quantised_norm(m.rows + i * n, m.scale[i], n);
  }
}

// A raw window lies as far from its nearest in the reference as from any when the ratio is about 1: there distance says little.
void Calibration::weigh(const float* model_fusion) {
  for (std::size_t c = 0; c < channels; ++c) {
    const float* center = comp_center + c * n_components;
    const float ratio = center[2] / (expected_distance * std::max(center[7], least_variation));
    const float u = std::min(std::max(2.0f * ratio - 1.0f, 0.0f), 1.0f);
    for (std::size_t k = 0; k < n_components; ++k) fusion[c * n_components + k] = model_fusion[k] + u * erratic[k];
  }
}

std::size_t calibration_bytes(const Calibration& calibration) {
  Field list[n_tensors];
  fields(calibration, list);
  std::size_t total = 0;
  for (const Field& field : list) total += bytes_of(field.out);
  return total;
}

void store_calibration(const Calibration& calibration, std::uint8_t* to) {
  Field list[n_tensors];
  fields(calibration, list);
  for (const Field& field : list) {
    std::memcpy(to, field.out.data, bytes_of(field.out));
    to += bytes_of(field.out);
  }
}

bool restore_calibration(const Weights& weights, const std::uint8_t* from, Calibration* calibration, Error* error) {
  Field list[n_tensors];
  fields(*calibration, list);
  for (const Field& field : list) {
    const TensorOut& out = field.out;
    void* const to = const_cast<void*>(out.data);
    std::memcpy(to, from, bytes_of(out));
    from += bytes_of(out);
    GgufTensor copied = {"", out.type, out.rank, {}, bytes_of(out), static_cast<const std::uint8_t*>(to)};
    std::snprintf(copied.name, sizeof copied.name, "%s", out.name);
    if (out.type == TensorType::f32 && !expect_f32(copied, field.least, field.most, error)) return false;
    if (out.type == TensorType::i8 && !expect_i8(copied, error)) return false;
  }
  calibration->pack(*weights.kernels);
  calibration->weigh(weights.fusion);
  return true;
}

bool load_calibration(const Weights& weights, const CalibrationKeys& keys, Calibration* calibration, void** block, Error* error) {
  const std::size_t tokens = keys.samples / patch_samples, samples = tokens * patch_samples;
  Calibration shape = {};
  shape.channels = keys.channels;
  if (!read_rows(weights.file, "cal.pos", tokens, &shape.rows, error) ||
      !read_rows(weights.file, "cal.raw_pos", samples, &shape.raw_rows, error))
    return false;
  shape.keys = keys;
  Field list[n_tensors];
  fields(shape, list);

  // All shapes against the file before any memory is taken: a hostile key cannot ask for more than the file holds.
  std::size_t in_file = 0;
  for (std::size_t i = 0; i < weights.file.n_tensors; ++i) in_file += is_calibration_tensor(weights.file.tensors[i].name) ? 1 : 0;
  const GgufTensor* tensors[n_tensors];
  for (std::size_t i = 0; i < n_tensors; ++i) {
    const TensorOut& want = list[i].out;
    tensors[i] = weights.file.find_tensor(want.name);
    if (!expect_tensor(tensors[i], want.name, want.type, want.rank, want.shape, error)) return false;
    if (want.type == TensorType::f32 && !expect_f32(*tensors[i], list[i].least, list[i].most, error)) return false;
    if (want.type == TensorType::i8 && !expect_i8(*tensors[i], error)) return false;
  }
  if (in_file != n_tensors)
    return fail(error, Status::model_format, "expected %zu cal.* tensors, found %zu; calibrate again", n_tensors, in_file);

  *block = place_block([&](Arena& arena) { shape.place(arena, *weights.kernels, shape.channels, shape.memory()); });
  if (*block == nullptr) return fail(error, Status::memory, "expected memory for the calibration, found less; free some");
  fields(shape, list);
  for (std::size_t i = 0; i < n_tensors; ++i) std::memcpy(const_cast<void*>(list[i].out.data), tensors[i]->data, tensors[i]->bytes);
  if (!check_positions("cal.pos", shape.pos, shape.rows, static_cast<std::int64_t>(tokens), error) ||
      !check_positions("cal.raw_pos", shape.raw_pos, shape.raw_rows, static_cast<std::int64_t>(samples), error))
    return false;
  if (std::none_of(shape.voice, shape.voice + shape.channels, [](float v) { return v > 0.0f; }))
    return fail(error, Status::model_format, "expected cal.voice above 0 for some channel, found none; calibrate again");
  shape.pack(*weights.kernels);
  shape.weigh(weights.fusion);
  *calibration = shape;
  return true;
}

bool save_model(const Weights& weights, const Calibration* calibration, const FrameConfig& frame, const char* path, Error* error) {
  const GgufFile& file = weights.file;
  const bool frame_keys = calibration != nullptr && frame.on();
  const auto is_model_key = [calibration](const GgufKey& key) {
    return std::strncmp(key.name, calibration_prefix, sizeof calibration_prefix - 1) != 0 &&
           (calibration == nullptr || std::strncmp(key.name, frame_prefix, sizeof frame_prefix - 1) != 0);
  };
  TensorOut* list = nullptr;
  void* block = place_block([&](Arena& arena) { list = arena.take<TensorOut>(gguf_max_tensors + n_tensors); });
  if (block == nullptr) return fail(error, Status::memory, "expected memory to write the model, found none; free some");

  std::size_t count = 0, keys = 0;
  for (std::size_t i = 0; i < file.n_keys; ++i) keys += is_model_key(file.keys[i]) ? 1 : 0;
  for (std::size_t i = 0; i < file.n_tensors; ++i) {
    const GgufTensor& t = file.tensors[i];
    if (!is_calibration_tensor(t.name))
      list[count++] = {t.name, t.type, t.rank, {t.shape[0], t.shape[1], t.shape[2], t.shape[3]}, t.data};
  }
  if (calibration != nullptr) {
    Field cal[n_tensors];
    fields(*calibration, cal);
    for (const Field& field : cal) list[count++] = field.out;
  }

  GgufWriter out;
  out.begin(keys + (frame_keys ? n_frame_keys : 0) + (calibration != nullptr ? n_calibration_keys : 0), count);
  for (std::size_t i = 0; i < file.n_keys; ++i)
    if (is_model_key(file.keys[i])) out.copy_key(file.keys[i]);
  if (frame_keys) {
    out.key_u32("sanderling.frame.samples", frame.samples);
    out.key_f32("sanderling.frame.period_s", frame.period_s);
    out.key_u32("sanderling.frame.levels", frame_levels);
  }
  if (calibration != nullptr) {
    const CalibrationKeys& k = calibration->keys;
    out.key_u32("sanderling.cal.channels", k.channels);
    out.key_string("sanderling.cal.scaling", k.standard_scaling ? "standard" : "robust");
    out.key_u32("sanderling.cal.samples", k.samples);
    out.key_f32("sanderling.cal.false_alarms", k.false_alarms);
    out.key_f32("sanderling.cal.period_s", k.period_s);
    out.key_f32("sanderling.cal.threshold", k.threshold);
  }
  out.tensors(list, count);
  block_free(block);
  return out.save(path, error);
}

}  // namespace sanderling
