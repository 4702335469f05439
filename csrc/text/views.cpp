#include "views.h"

#include <algorithm>

#include "../core/math.h"

namespace sanderling {
namespace {

constexpr double grid = 1048576.0;  // 2^20
constexpr double tail = 0.9;        // quantile above which nats grow linearly
constexpr std::size_t meaning_neighbours = 20, look_neighbours = 10, word_neighbours = 5, lanes = 16;

// Of the head (python/sanderling/text/head.py).
constexpr std::size_t normal_neighbours = 20, anomalous_neighbours = 5;
constexpr double near_weight = 10.0, most_nats = 20.0, most_z = 5.0;

constexpr std::size_t read_characters = 1024;
constexpr char32_t start_of_text = 2, end_of_text = 3;
constexpr double unseen = 1.0 / 256;

// The `most` smallest of what is seen, ascending.
template <std::size_t most>
struct Smallest {
  double value[most];
  std::size_t n = 0;
  void see(double x) {
    if (n == most && !(x < value[most - 1])) return;
    std::size_t at = n < most ? n++ : most - 1;
    for (; at > 0 && x < value[at - 1]; --at) value[at] = value[at - 1];
    value[at] = x;
  }
};

void make_unit(double* x, std::size_t d) {
  double lane[lanes] = {};
  for (std::size_t i = 0; i < d; ++i) lane[i % lanes] += x[i] * x[i];
  const double length = std::max(std::sqrt(fold16(lane)), 1e-12);
  for (std::size_t i = 0; i < d; ++i) x[i] /= length;
}

double dot(const float* a, const double* b, std::size_t d) {
  double lane[lanes] = {};
  for (std::size_t i = 0; i < d; i += lanes)
    for (std::size_t k = 0; k < lanes; ++k) lane[k] += static_cast<double>(a[i + k]) * b[i + k];
  return fold16(lane);
}

// 1 - the mean of the largest cosines, the r-th with weight r^(-1/2).
template <std::size_t most>
double ranked_distance(const Smallest<most>& far) {
  double sum = 0.0, weights = 0.0;
  for (std::size_t r = 0; r < far.n; ++r) {
    const double weight = 1.0 / std::sqrt(static_cast<double>(r + 1));
    sum -= far.value[r] * weight;
    weights += weight;
  }
  return 1.0 - sum / weights;
}

// The mean cosine of `unit` with its nearest `most` of n rows.
template <std::size_t most>
double mean_nearest(const float* rows, std::size_t n, const double* unit, std::size_t d) {
  Smallest<most> far;
  for (std::size_t i = 0; i < n; ++i) far.see(-dot(rows + i * d, unit, d));
  double sum = 0.0;
  for (std::size_t r = 0; r < far.n; ++r) sum -= far.value[r];
  return sum / static_cast<double>(far.n);
}

}  // namespace

double on_grid(double x) { return std::nearbyint(x * grid) / grid; }

double Scale::nats(double distance) const {
  const double at_start = -log64(1.0 - tail), x = on_grid(distance);
  if (x > start) return at_start + (x - start) / excess;
  const std::int32_t* const at = std::lower_bound(reference, reference + n, x * grid, [](std::int32_t a, double b) { return a < b; });
  const double as_far = static_cast<double>(reference + n - at);
  return std::min(-log64((as_far + 0.5) / static_cast<double>(n + 1)), at_start);
}

double CharacterView::distance(const char32_t* text, std::size_t n) const {
  const std::size_t read = std::min(n, read_characters);
  const auto character = [&](std::size_t i) -> std::uint64_t {
    if (i >= read) return end_of_text;
    return text[i] >= '0' && text[i] <= '9' ? '0' : text[i];
  };
  double sum = 0.0;
  for (std::size_t i = 0; i <= read; ++i) {
    const std::uint64_t own = character(i) + (std::uint64_t{1} << 32);
    std::uint64_t context = hash_seed;
    double p = unseen;
    for (std::size_t j = 0; j < orders; ++j) {
      if (j > 0) context = mix_hash(context, i >= j ? character(i - j) : start_of_text);
      const GramTable& table = tables[j];
      const std::size_t place = find_hash(table.contexts, table.n_contexts, context);
      if (place == table.n_contexts) continue;
      const std::size_t gram = find_hash(table.grams, table.n_grams, mix_hash(context, own));
      const double seen = gram == table.n_grams ? 0.0 : table.count[gram];
      const double distinct = table.distinct[place];
      p = (seen + distinct * p) / (table.total[place] + distinct);
    }
    sum += -log64(p);
  }
  return sum / static_cast<double>(read + 1);
}

double MeaningView::distance(const float* embedding, double* work) const {
  double *const u = work, *const v = work + d;
  for (std::size_t i = 0; i < d; ++i) u[i] = embedding[i];
  make_unit(u, d);
  std::fill_n(v, d, 0.0);
  for (std::size_t i = 0; i < d; ++i)
    for (std::size_t j = 0; j < d; ++j) v[j] += u[i] * metric[i * d + j];
  make_unit(v, d);
  Smallest<meaning_neighbours> far;  // of the negative cosines
  for (std::size_t i = 0; i < n; ++i) far.see(-dot(memory + i * d, v, d));
  return ranked_distance(far);
}

double WordsView::distance(const WeighedWords& words, double* cosines) const {
  std::fill_n(cosines, n, 0.0);
  for (std::size_t i = 0; i < words.n; ++i)
    for (std::int32_t at = start[words.word[i]]; at < start[words.word[i] + 1]; ++at)
      cosines[text[at]] += static_cast<double>(weight[at]) * words.weight[i];
  Smallest<word_neighbours> far;
  for (std::size_t i = 0; i < n; ++i) far.see(-cosines[i]);
  return ranked_distance(far);
}

void LookView::scale(const double* features, double* z) const {
  for (std::size_t k = 0; k < surface_features; ++k) z[k] = (features[k] - centre[k]) / spread[k];
}

double LookView::distance(const double* z) const {
  Smallest<look_neighbours> near;
  for (std::size_t i = 0; i < n; ++i) {
    double sum = 0.0;
    for (std::size_t k = 0; k < surface_features; ++k) {
      const double difference = memory[i * surface_features + k] - z[k];
      sum += difference * difference;
    }
    near.see(std::sqrt(sum));
  }
  double sum = 0.0;
  for (std::size_t r = 0; r < near.n; ++r) sum += near.value[r];
  return sum / static_cast<double>(near.n);
}

double HeadView::logit(const double* nats, std::size_t n_nats, const double* z, double* unit, const float* inner, const WeighedWords& weighed) const {
  const double* w = weight;
  double sum = 0.0;
  for (std::size_t i = 0; i < n_nats; ++i) sum += *w++ * (std::min(nats[i], most_nats) / 4.0);
  for (std::size_t k = 0; k < surface_features; ++k) sum += *w++ * (std::min(std::max(z[k], -most_z), most_z) / 8.0);
  if (d == 0) {
    for (std::size_t i = 0; i < weighed.n; ++i) sum += w[weighed.word[i]] * weighed.weight[i];
    return sum + bias;
  }
  for (std::size_t i = 0; i < d; ++i) sum += *w++ * (2.0 * unit[i]);
  double* const v = unit + d;
  for (std::size_t layer = 0; layer < n_inner; ++layer) {
    for (std::size_t i = 0; i < d; ++i) v[i] = static_cast<double>(inner[layer * d + i]) - centre[layer * d + i];
    make_unit(v, d);
    for (std::size_t i = 0; i < d; ++i) sum += *w++ * (2.0 * v[i]);
  }
  const double near = mean_nearest<anomalous_neighbours>(anomalous, n_anomalous, unit, d) - mean_nearest<normal_neighbours>(normal, n_normal, unit, d);
  return sum + bias + near_weight * near;
}

}  // namespace sanderling
