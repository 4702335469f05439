// What a text is compared by (docs/text_model.md): meaning, characters, words, look; each one's distance to the reference, and its nats. The
// arrays are the file's, checked by the loader (detector.cpp). Double precision, sums in index order or in core/math.h's 16 lanes.
#pragma once
#include <cstddef>
#include <cstdint>

#include "surface.h"
#include "words.h"

namespace sanderling {

// A distance -> nats, by the reference's own distances.
struct Scale {
  const std::int32_t* reference = nullptr;  // [n], ascending, in units of 2^-20
  std::size_t n = 0;
  double start = 0.0, excess = 1.0;  // of the tail

  double nats(double distance) const;
};

// To the next multiple of 2^-20, half to even: equal texts stay equal whatever the order of a sum was.
double on_grid(double x);

// Counts of n-grams of characters of one order, sorted by their 64-bit hashes.
struct GramTable {
  const std::uint64_t *grams, *contexts;
  const std::int32_t *count, *total, *distinct;  // [n_grams], [n_contexts], [n_contexts]
  std::size_t n_grams, n_contexts;
};

struct CharacterView {
  static constexpr std::size_t orders = 5;
  GramTable tables[orders];

  double distance(const char32_t* text, std::size_t n) const;
};

struct MeaningView {
  const float *metric, *memory;  // [d][d], [n][d]
  std::size_t n, d;

  double distance(const float* embedding, double* work) const;  // work[2 d]; its first d: the embedding at length 1
};

// TF-IDF of the reference, by words: whose texts a word is in, and its weight there.
struct WordsView {
  WordTable table;
  const std::int32_t *start, *text;  // [table.n + 1], [start[table.n]]
  const float* weight;               // [start[table.n]]
  std::size_t n;                     // texts

  double distance(const WeighedWords& words, double* cosines) const;  // cosines[n]
};

struct LookView {
  const double *centre, *spread, *memory;  // [16], [16], [n][16]
  std::size_t n;

  void scale(const double* features, double* z) const;  // z[16]
  double distance(const double* z) const;
};

// Few labels: a logistic head on the views, the look and the embedding, and the nearest of the labelled anomalies. Without an encoder
// TF-IDF stands in the embedding's place, of a vocabulary that knows the anomalies' words too.
struct HeadView {
  const double* weight;  // [3 + meaning + 16 + (d + n_inner d, or words.n)]: nats of characters, look, meaning, words; z; embedding, inner layers or words
  const float *normal, *anomalous;  // [n_normal][d], [n_anomalous][d]: embeddings of length 1
  std::size_t n_normal, n_anomalous, d;
  const double* centre;  // [n_inner][d]: the reference's means of the encoder's inner layers
  std::size_t n_inner;
  WordTable words;  // d == 0
  double bias;

  // nats in the weights' order; unit: d numbers and as many to work in, inner [n_inner][d], or weighed: by `words`.
  double logit(const double* nats, std::size_t n_nats, const double* z, double* unit, const float* inner, const WeighedWords& weighed) const;
};

}  // namespace sanderling
