// The forward pass: one state machine for batch, stream, cold start and calibration (docs/model.md sections 1 to 7).
//
// run() takes T complete patches of all the channels. Rows are (channel, token): row = channel * T + token, so that a channel's
// tokens lie together for its K/V history and its memory. The kernels return the same bits for every M, so the cut of a recording
// into blocks never shows in a score. In dynamic mode (section 12) some rows are skipped: the network's arrays hold the executed
// rows first, in their order, then the skipped ones; slot says where a row is. Else slot[row] = row.
#pragma once
#include "calibration.h"

namespace sanderling {

// How far a pass over the reference goes.
enum class Until { memory, components, scores };

// 1 + v or 1 / (1 - v): positive, monotone.
float positive(float v);

struct Forward {
  const Weights* weights;
  std::size_t channels;
  std::size_t max_tokens;  // a block's most
  std::size_t tokens_done; // since reset
  std::size_t T, rows;     // of the block in work: tokens, channels * T
  bool dynamic;            // may skip ordinary tokens where it scores live
  std::uint64_t tokens_skipped;  // of all channels, since reset

  // Block results, valid after run() until the next.
  std::uint8_t* silent;    // [C][8 T], 1: the channel has no score at this sample
  std::uint8_t* skipped;   // [rows]
  std::uint32_t* slot;     // [rows]
  std::size_t executed;    // rows that were not skipped
  float* z;                // [executed][d]
  float* p;                // [executed][17]
  std::int8_t* um;         // [heads][executed][32], the metric queries
  float* um_scale;         // [heads][executed]
  std::int8_t* uw;         // [rows][64], the raw queries
  float* uw_scale;         // [rows]
  float* comp;             // [rows][8], c_k; of a skipped row the cheap ones only
  float* level;            // [rows][8], l_k
  float* smoothed;         // [rows], s_bar
  float* token_score;      // [rows], score_c
  float* network;          // [rows], s without the cheap components' part; executed rows only

  void place(Arena& arena, const Weights& model, std::size_t n_channels, MemoryShape memory);
  void reset();
  // The raw window of section 6 that ends with the block's sample `end`: to [64].
  void raw_row(std::size_t channel, std::size_t end, float* to) const;
  // x [8 tokens][C] raw; leave_out: reference passes, each token without its own block of the memory.
  void run(const float* x, std::size_t tokens, const Calibration& cal, Until until, bool leave_out);
  // The two halves of run(), for who reads the block's signal between them.
  void block(const float* x, std::size_t tokens, const Calibration& cal, Until until, bool leave_out);
  void advance();

 private:
  void clean(const float* x, const Calibration& cal);
  void raw_queries();
  void cheap_components(const Calibration& cal, bool leave_out);
  void choose(const Calibration& cal, bool may_skip);
  bool ordinary(std::size_t row, const Calibration& cal) const;
  void features();
  void encode();
  void hold_residual(std::size_t layer);
  void attend(std::size_t layer);
  void make_room();
  void metric_queries();
  void decode();
  void components(const Calibration& cal, bool leave_out);
  void prediction_errors(std::size_t channel, const Calibration& cal);
  void metric_distances(std::size_t channel, const Calibration& cal, bool leave_out);
  void normalise_components(std::size_t row, const Calibration& cal);
  void score(const Calibration& cal);

  void normalise(const float* x, const Norm& norm, float* y, std::size_t n);
  void project(const float* x, const QLinear& linear, float* y, std::size_t n, bool add = false);  // quantise n rows, multiply

  float* signal(std::size_t s, std::size_t channel) const;          // the block's first sample of smooth s at `channel`

  // State.
  struct Cell {
    float last;            // last valid raw value
    std::uint32_t missing; // run length, saturating
    bool seen;             // a valid sample
  };
  Cell* cell;              // [C]
  float* smooth[max_levels];                 // s_0 = y, s_1, ...: [C][history + 8 max_tokens]
  std::size_t history[max_levels];
  std::size_t kv_tokens, kv_capacity;
  std::int8_t *keys[max_layers], *values[max_layers];              // [C][kv_capacity][H][32]
  float *key_scale[max_layers], *value_scale[max_layers];          // [C][kv_capacity][H]
  float* predicted;        // [C][8], the last token's next patch
  float* log_b;            // [C]
  std::uint32_t* run_length; // [C], tokens skipped one after another up to here
  // Dynamic mode, of a channel's executed ordinary tokens (none yet: 0, and the calibration's base).
  float* residual;         // [layers][C][d], running mean of what a layer's input has beyond the embedding
  std::uint8_t* gap_before;  // [C], 1: the token before the block was skipped and predicted nothing
  float* held;             // [C], the last one's network part of s
  float* last_score;       // [C], score_c of the last token
  float* logits;           // [C][max_smooth], the last tokens' s, oldest first
  std::size_t n_logits;

  // Work.
  std::uint8_t* calm;      // [rows], 1: ordinary
  std::uint32_t* first_slot;  // [C + 1], a channel's first executed row
  float *x_scaled, *valid; // [C][8 T]
  float *detail, *coarse;  // [8 T]
  float *f, *embedded, *h, *a, *r, *o, *in;
  float *weighted, *unit, *dot, *attention_floats, *graph_out, *logit;
  std::int8_t *q8, *r8, *q_heads, *k_heads, *v_heads;
  float *q_scale, *r_scale, *q_heads_scale, *k_heads_scale, *v_heads_scale;
};

// The mean of the top_k largest of n values (n >= 1), which it reorders.
float aggregate(float* values, std::size_t n, std::size_t top_k);

}  // namespace sanderling
