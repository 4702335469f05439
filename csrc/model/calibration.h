// What a calibration stores: scaling, reference memory, component statistics, offsets, threshold (docs/model.md section 8).
#pragma once
#include "../core/memory.h"
#include "weights.h"

namespace sanderling {

// Least spread of a channel's tail (section 8, step 5).
constexpr float least_tail = 0.5f;

// Windows of the reference as quantised rows. Derived by pack_raw(): the rows as qgemm weights, and their squared norms.
struct RawMemory {
  std::int8_t* rows;     // [C][N][raw_samples]
  float* scale;          // [C][N]
  std::uint8_t* packed;
  std::size_t bytes;     // of one packed channel
  float* norm;           // [C][N]

  const void* packed_of(std::size_t channel) const { return packed + channel * bytes; }
};

struct Calibration {
  std::size_t channels, rows, raw_rows;  // C, M, N
  std::size_t left_out;              // tokens around a token of the reference whose rows a pass over it leaves out (section 8, step 4)
  CalibrationKeys keys;

  float *location, *spread, *level, *voice, *offset, *tail, *base;  // [C]
  float *comp_center, *comp_spread;        // [C][8]
  std::int32_t* pos;                       // [M], ascending tokens of the reference
  std::int32_t* raw_pos;                   // [N], ascending samples of the reference: the last of each raw window
  std::int8_t* metric;                     // [C][heads][M][32]
  float* metric_scale;                     // [C][heads][M]
  RawMemory raw[n_raw];

  float* fusion;                           // [C][8], derived by weigh()

  // Derived by pack(): the memory as qgemm weights.
  std::uint8_t* metric_packed;
  std::size_t metric_bytes;                // of one packed head

  // Takes the arrays; channels and the memory's rows from here on.
  void place(Arena& arena, const KernelTable& kernels, std::size_t channels, MemoryShape memory);
  void pack(const KernelTable& kernels);
  void pack_raw(const KernelTable& kernels);
  // The weights of section 7 from the model's fusion [8] and comp_center.
  void weigh(const float* model_fusion);

  MemoryShape memory() const { return {rows, raw_rows}; }

  const void* packed_metric(std::size_t channel, std::size_t head) const {
    return metric_packed + (channel * metric_heads + head) * metric_bytes;
  }
};

// The squared norm of a quantised row of n, shared by the memory and its queries: (scale * scale) * float(sum q * q).
float quantised_norm(const std::int8_t* q, float scale, std::size_t n);

// The arrays that a file would hold, one after another, for who keeps a calibration elsewhere; restore checks them as a file's are.
std::size_t calibration_bytes(const Calibration& calibration);
void store_calibration(const Calibration& calibration, std::uint8_t* to);
bool restore_calibration(const Weights& weights, const std::uint8_t* from, Calibration* calibration, Error* error);

// Reads the cal.* tensors of a file whose keys say that it is calibrated. *block owns the arrays.
bool load_calibration(const Weights& weights, const CalibrationKeys& keys, Calibration* calibration, void** block, Error* error);

// Writes the model's part of weights.file, then the calibration with its frames (none: nullptr, and the file's frames stay).
bool save_model(const Weights& weights, const Calibration* calibration, const FrameConfig& frame, const char* path, Error* error);

}  // namespace sanderling
