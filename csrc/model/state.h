// What the forward pass remembers of one stream between blocks: the past of its channels, and the keys and values of their tokens.
#pragma once
#include "calibration.h"

namespace sanderling {

struct State {
  const Weights* weights;
  std::size_t channels;
  std::size_t max_tokens;        // a block's most
  std::size_t tokens_done;       // since reset
  bool dynamic;                  // may skip ordinary tokens where it scores live
  std::uint64_t tokens_skipped;  // of all channels, since reset

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

  // Tokens of a block of `n_channels` channels.
  static std::size_t block_tokens(std::size_t n_channels);
  void place(Arena& arena, const Weights& model, std::size_t n_channels);
  void reset();
  float* signal(std::size_t s, std::size_t channel) const;  // the block's first sample of smooth s at `channel`
  // The raw window `w` of section 6 that ends with the block's sample `end`, `level` of its level taken out: to [raw_samples[w]].
  void raw_row(std::size_t w, std::size_t channel, std::size_t end, float level, float* to) const;
  void make_room(std::size_t tokens);  // behind the history of keys and values
  void forget(std::size_t tokens);     // the block's last samples become the next block's past
};

}  // namespace sanderling
