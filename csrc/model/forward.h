// The forward pass: one state machine for batch, stream, cold start and calibration (docs/model.md sections 1 to 7).
//
// run() takes complete patches of one stream, or of several at once: a Part each, of T tokens of all its channels. Rows are
// (part, channel, token), so that a channel's tokens lie together for its K/V history and its memory, and the matrix products see
// the rows of all parts as one. The kernels return the same bits for every M, so neither the cut of a recording into blocks nor the
// company of other streams shows in a score. In dynamic mode (section 12) some rows are skipped: the network's arrays hold the
// executed rows first, in their order, then the skipped ones; slot says where a row is. Else slot[row] = row.
#pragma once
#include "../core/pool.h"
#include "state.h"

namespace sanderling {

// How far a pass over the reference goes: the samples' windows, their distances, or the network without distances, with them, to the end.
enum class Until { samples, distances, memory, components, scores };

// Queries of a memory whose dot products are kept at once: few enough to stay in L2 beside the weights.
constexpr std::size_t block_queries = 16;

// 1 + v or 1 / (1 - v): positive, monotone.
float positive(float v);

struct Part {
  State* state;
  const Calibration* cal;
  const float* x;           // [8 T][C] raw
  std::size_t T;
  std::size_t row;          // its first; set by run()

  std::size_t row_of(std::size_t c, std::size_t t) const { return row + c * T + t; }
  std::size_t end() const { return row + state->channels * T; }
};

struct Forward {
  const Weights* weights;
  std::size_t max_rows;    // of a block
  Pool* pool = nullptr;    // not owned

  // Block results, valid after run() until the next.
  std::size_t rows, executed;  // all; those that were not skipped
  std::uint8_t* silent;    // [rows][8], 1: the channel has no score at this sample
  std::uint8_t* skipped;   // [rows]
  std::uint32_t* slot;     // [rows]
  float* z;                // [executed][d]
  float* p;                // [executed][17]
  std::int8_t* um;         // [heads][executed][32], the metric queries
  float* um_scale;         // [heads][executed]
  std::int8_t* uw[n_raw];  // [rows][raw_samples], the raw queries
  float* uw_scale[n_raw];  // [rows]
  float* comp;             // [rows][8], c_k; of a skipped row the cheap ones only
  float* level;            // [rows][8], l_k
  float* smoothed;         // [rows], s_bar
  float* token_score;      // [rows], score_c
  float* network;          // [rows], s without the cheap components' part; executed rows only

  // For parts of n_channels channels and memories of that shape, and so many threads' work.
  void place(Arena& arena, const Weights& model, std::size_t n_channels, MemoryShape memory, std::size_t threads = 1);
  // leave_out: reference passes, each token without its own block of the memory.
  void run(Part* parts, std::size_t n_parts, Until until, bool leave_out);
  // The two halves of run(), for who reads the block's signal between them.
  void block(Part* parts, std::size_t n_parts, Until until, bool leave_out);
  void advance();

 private:
  // A part's own steps, channel by channel.
  void clean(const Part& part);
  void raw_queries(const Part& part);
  void choose(const Part& part, bool may_skip);
  bool ordinary(const Part& part, std::size_t c, std::size_t row) const;
  void features(const Part& part);
  void hold_residual(const Part& part, std::size_t layer);
  void decode_patch(const Part& part, std::size_t t);
  void components(const Part& part);
  void prediction_errors(const Part& part, std::size_t c);
  void normalise_components(const Part& part, std::size_t c, std::size_t t);
  void scorer_rows(const Part& part);
  void smooth_scores(const Part& part);
  void advance(const Part& part);

  // Tokens first .. last - 1 of a part's channel; what a thread of the pool writes to beside their rows.
  struct Run {
    const Part* part;
    std::size_t c, first, last;
  };
  struct Scratch {
    float *dot, *attention, *norm;
  };
  template <typename Work>
  void each_run(std::size_t first_row, std::size_t n_rows, Work work) const;
  // work(first, count, scratch) over n rows, by the pool's threads where there is one.
  template <typename Work>
  void parallel(std::size_t n, Work work);
  void cheap_components(const Run& run, bool leave_out, const Scratch& scratch);
  void metric_distances(const Run& run, bool leave_out, const Scratch& scratch);
  void store_keys_values(const Run& run, std::size_t layer);
  void attend(const Run& run, std::size_t layer, const Scratch& scratch);

  // The steps of all parts' rows together.
  void place_skipped();
  void encode();
  void project_layer(const Layer& layer, std::size_t first, std::size_t n, const Scratch& scratch);
  void finish_layer(const Layer& layer, std::size_t first, std::size_t n, const Scratch& scratch);
  void metric_queries();
  void decode();
  void score();

  void graph_heads(const float* from, std::size_t stride, std::size_t at, std::size_t n);
  void graph_attention(std::size_t nodes, std::size_t window, float* out);
  void normalise(const float* x, const Norm& norm, float* y, std::size_t n);
  void multiply(const QLinear& linear, float* y, std::size_t n, bool add = false);  // y = linear(q8), or y += it
  void project(const float* x, const QLinear& linear, float* y, std::size_t n, bool add = false);  // quantise n rows, multiply

  // Of the block in work.
  Part* parts_;
  std::size_t n_parts_;
  bool any_dynamic_;

  // Work.
  std::uint8_t* calm;      // [rows], 1: ordinary
  float *x_scaled, *valid; // [rows][8]
  float *detail, *coarse;  // [8 T]
  float *f, *embedded, *h, *a, *r, *o, *in;
  float *weighted[n_raw], *unit, *graph_out, *logit;
  Scratch scratch_[Pool::most];
  // A query's dot products start on a line of the cache: loads and stores that straddle two cost twice.
  static constexpr std::size_t dot_stride(std::size_t n) { return (n + 15) / 16 * 16; }
  std::size_t dot_tokens;  // rows of dot
  std::int8_t *q8, *q_heads, *k_heads, *v_heads;
  float *q_scale, *q_heads_scale, *k_heads_scale, *v_heads_scale;
};

template <typename Work>
void Forward::each_run(std::size_t first_row, std::size_t n_rows, Work work) const {
  const std::size_t last_row = first_row + n_rows;
  for (const Part* part = parts_; part < parts_ + n_parts_; ++part)
    for (std::size_t c = 0; c < part->state->channels; ++c) {
      const std::size_t begin = part->row_of(c, 0), end = begin + part->T;
      if (end <= first_row || begin >= last_row) continue;
      work(Run{part, c, begin < first_row ? first_row - begin : 0, (end > last_row ? last_row : end) - begin});
    }
}

template <typename Work>
void Forward::parallel(std::size_t n, Work work) {
  if (pool == nullptr) return work(std::size_t{0}, n, scratch_[0]);
  pool->run(n, [&](std::size_t first, std::size_t count, std::size_t worker) { work(first, count, scratch_[worker]); });
}

// The score of n channels' values (n >= 1), which it reorders, with their voices (docs/model.md section 7).
float aggregate(float* values, const float* voices, std::size_t n, std::size_t top_k);

}  // namespace sanderling
