#include "views_loader.h"

#include "../model/config_reader.h"
#include "../model/weights.h"
#include "detector.h"
#include "mask.h"

namespace sanderling {

const char* const view_names[n_views] = {"meaning", "characters", "words", "look"};

namespace {

constexpr std::uint64_t least_texts = 32, most_texts = 2048, most_grams = std::uint64_t{1} << 24;
// Wide enough for every text; narrow enough that no sum overflows.
constexpr double most_distance = 1e9, most_value = 1e9;
constexpr std::uint64_t least_labelled = 4, most_labelled = 1u << 16;
constexpr double most_weight = 1e6, most_idf = 100.0;  // of the head, of a word
constexpr std::uint64_t most_bytes = std::uint64_t{1} << 25;  // of the reference's texts

class Loader {
 public:
  Loader(const GgufFile& file, std::size_t d, std::size_t n_inner, Views* views, Error* error)
      : file_(file), d_(d), n_inner_(n_inner), views_(views), error_(error) {}

  bool load() {
    KeyReader reader(file_, error_);
    const GgufTensor* look = nullptr;
    if (!reader.f64(views_threshold, -most_distance, most_distance, &views_->threshold) || !rows("views.look.memory", &look)) return false;
    n_ = look->shape[0];
    const bool masked = has(views_masks), tuned = has(views_head);
    if ((masked && !masks(&reader)) || (tuned && !head(&reader))) return false;
    std::size_t keys = 1 + masked + tuned;
    for (std::size_t view = d_ == 0 ? characters_view : meaning_view; view < n_views; ++view, keys += 2)
      if (!scale(&reader, view)) return false;
    for (std::size_t j = 0; j < CharacterView::orders; ++j)
      if (!grams(j)) return false;
    return words() && this->look() && (d_ == 0 || meaning()) && texts() && nothing_else(keys);
  }

 private:
  bool has(const char* name) const {
    char full[64];
    std::snprintf(full, sizeof full, "%s%s", prefix, name);
    return file_.find_key(full) != nullptr;
  }

  bool head(KeyReader* reader) {
    HeadView& head = views_->head;
    head.d = d_;
    if (!reader->f64(views_head, -most_weight, most_weight, &head.bias)) return false;
    if (d_ == 0 && !table("views.head.hash", "views.head.idf", &head.words)) return false;
    if (n_inner_ > 0 && file_.find_tensor(views_inner) != nullptr) {
      head.n_inner = n_inner_;
      if (!doubles(views_inner, n_inner_, d_, -most_value, most_value, &head.centre)) return false;
    }
    const std::size_t nats = d_ == 0 ? n_views - 1 : n_views, rest = d_ == 0 ? head.words.n : (1 + head.n_inner) * d_;
    return doubles("views.head.weight", nats + surface_features + rest, 0, -most_weight, most_weight, &head.weight) &&
           (d_ == 0 || (units("views.head.normal", &head.normal, &head.n_normal) && units("views.head.anomalous", &head.anomalous, &head.n_anomalous)));
  }

  bool table(const char* hash, const char* idf, WordTable* out) {
    return hashes(hash, &out->hash, &out->n) && doubles(idf, out->n, 0, 1e-3, most_idf, &out->idf);
  }

  bool words() {
    WordsView& words = views_->words;
    words.n = static_cast<std::size_t>(n_);
    if (!table("views.words.hash", "views.words.idf", &words.table)) return false;
    const GgufTensor* const start = find("views.words.start", TensorType::i32, words.table.n + 1);
    if (start == nullptr || !sized(file_.find_tensor("views.words.text"), "views.words.text", 1, most_grams)) return false;
    words.start = reinterpret_cast<const std::int32_t*>(start->data);
    const std::uint64_t places = file_.find_tensor("views.words.text")->shape[0];
    for (std::size_t i = 0; i < words.table.n; ++i)
      if (words.start[i] < 0 || words.start[i] > words.start[i + 1]) return wrong("views.words.start", "to ascend");
    if (words.start[0] != 0 || static_cast<std::uint64_t>(words.start[words.table.n]) != places)
      return wrong("views.words.start", "to go from 0 to the end of views.words.text");
    const GgufTensor* const text = find("views.words.text", TensorType::i32, places);
    const GgufTensor* const weight = find("views.words.weight", TensorType::f32, places);
    if (text == nullptr || weight == nullptr || !expect_f32(*weight, 0.0f, 1.001f, error_)) return false;
    words.text = reinterpret_cast<const std::int32_t*>(text->data);
    words.weight = reinterpret_cast<const float*>(weight->data);
    for (std::uint64_t i = 0; i < places; ++i)
      if (words.text[i] < 0 || static_cast<std::uint64_t>(words.text[i]) >= n_) return wrong("views.words.text", "to be reference texts");
    return true;
  }

  bool texts() {
    if (file_.find_tensor(views_texts) == nullptr) return true;
    return sized(file_.find_tensor(views_texts), views_texts, 1, most_bytes) && find(views_texts, TensorType::i8, file_.find_tensor(views_texts)->shape[0]) != nullptr;
  }

  bool units(const char* name, const float** out, std::size_t* n) {
    if (!sized(file_.find_tensor(name), name, least_labelled, most_labelled)) return false;
    const GgufTensor* const tensor = find(name, TensorType::f32, file_.find_tensor(name)->shape[0], d_);
    if (tensor == nullptr || !expect_f32(*tensor, -1.001f, 1.001f, error_)) return false;
    *out = reinterpret_cast<const float*>(tensor->data);
    *n = static_cast<std::size_t>(tensor->shape[0]);
    return true;
  }

  bool masks(KeyReader* reader) {
    char names[64];
    if (!reader->text(views_masks, names)) return false;
    for (const char* at = names;;) {
      const std::size_t n = std::strcspn(at, ",");
      std::size_t rule = 0;
      while (rule < n_mask_rules && (std::strlen(mask_names[rule]) != n || std::strncmp(at, mask_names[rule], n) != 0)) ++rule;
      if (rule == n_mask_rules)
        return fail(error_, Status::model_format, "expected masking rules in %s%s, found '%s'; update sanderling", prefix, views_masks, names);
      views_->masks |= 1u << rule;
      if (at[n] == 0) return true;
      at += n + 1;
    }
  }

  // A tensor whose first size the file chooses, within the bounds of a reference.
  bool rows(const char* name, const GgufTensor** out) {
    *out = file_.find_tensor(name);
    return sized(*out, name, least_texts, most_texts);
  }

  bool sized(const GgufTensor* tensor, const char* name, std::uint64_t least, std::uint64_t most) {
    if (tensor == nullptr) return fail(error_, Status::model_format, "expected the tensor %s, found none; export the detector again", name);
    return (tensor->shape[0] >= least && tensor->shape[0] <= most) ||
           fail(error_, Status::model_format, "expected %s of %llu to %llu rows, found %llu; export the detector again", name,
                static_cast<unsigned long long>(least), static_cast<unsigned long long>(most), static_cast<unsigned long long>(tensor->shape[0]));
  }

  const GgufTensor* find(const char* name, TensorType type, std::uint64_t a, std::uint64_t b = 0) {
    const GgufTensor* tensor = file_.find_tensor(name);
    const std::uint64_t shape[] = {a, b};
    if (!expect_tensor(tensor, name, type, b == 0 ? 1 : 2, shape, error_)) return nullptr;
    ++tensors_;
    return tensor;
  }

  bool wrong(const char* name, const char* wanted) {
    return fail(error_, Status::model_format, "expected the values of %s %s, found others; export the detector again", name, wanted);
  }

  bool doubles(const char* name, std::uint64_t a, std::uint64_t b, double least, double most, const double** out) {
    const GgufTensor* tensor = find(name, TensorType::f64, a, b);
    if (tensor == nullptr) return false;
    *out = reinterpret_cast<const double*>(tensor->data);
    for (std::uint64_t i = 0; i < tensor->bytes / sizeof(double); ++i)
      if (!((*out)[i] >= least && (*out)[i] <= most)) return wrong(name, "finite and within their bounds");
    return true;
  }

  bool counts(const char* name, std::uint64_t n, const std::int32_t** out) {
    const GgufTensor* tensor = find(name, TensorType::i32, n);
    if (tensor == nullptr) return false;
    *out = reinterpret_cast<const std::int32_t*>(tensor->data);
    for (std::uint64_t i = 0; i < n; ++i)
      if ((*out)[i] < 1) return wrong(name, "above 0");
    return true;
  }

  bool hashes(const char* name, const std::uint64_t** out, std::size_t* n) {
    if (!sized(file_.find_tensor(name), name, 1, most_grams)) return false;
    const GgufTensor* tensor = find(name, TensorType::i64, file_.find_tensor(name)->shape[0]);
    if (tensor == nullptr) return false;
    *n = static_cast<std::size_t>(tensor->shape[0]);
    *out = reinterpret_cast<const std::uint64_t*>(tensor->data);
    for (std::size_t i = 1; i < *n; ++i)
      if ((*out)[i - 1] >= (*out)[i]) return wrong(name, "to ascend");
    return true;
  }

  bool grams(std::size_t j) {
    GramTable& table = views_->characters.tables[j];
    char names[5][40];
    const char* const parts[] = {"grams", "count", "contexts", "total", "distinct"};
    for (std::size_t i = 0; i < 5; ++i) std::snprintf(names[i], sizeof names[i], "views.characters.%zu.%s", j, parts[i]);
    if (!hashes(names[0], &table.grams, &table.n_grams) || !counts(names[1], table.n_grams, &table.count) ||
        !hashes(names[2], &table.contexts, &table.n_contexts) || !counts(names[3], table.n_contexts, &table.total) ||
        !counts(names[4], table.n_contexts, &table.distinct))
      return false;
    for (std::size_t i = 0; i < table.n_contexts; ++i)
      if (table.distinct[i] > table.total[i]) return wrong(names[4], "at most the total");
    return true;
  }

  bool scale(KeyReader* reader, std::size_t view) {
    Scale& scale = views_->scales[view];
    char start[48], excess[48], name[48];
    std::snprintf(start, sizeof start, "%s%s.start", views_prefix, view_names[view]);
    std::snprintf(excess, sizeof excess, "%s%s.excess", views_prefix, view_names[view]);
    std::snprintf(name, sizeof name, "%s%s.reference", views_tensors, view_names[view]);
    if (!reader->f64(start, -most_distance, most_distance, &scale.start) || !reader->f64(excess, 1e-9, most_distance, &scale.excess)) return false;
    const GgufTensor* tensor = find(name, TensorType::i32, n_);
    if (tensor == nullptr) return false;
    scale.n = static_cast<std::size_t>(n_);
    scale.reference = reinterpret_cast<const std::int32_t*>(tensor->data);
    for (std::size_t i = 1; i < scale.n; ++i)
      if (scale.reference[i - 1] > scale.reference[i]) return wrong(name, "to ascend");
    return true;
  }

  bool look() {
    LookView& look = views_->look;
    look.n = static_cast<std::size_t>(n_);
    return doubles("views.look.centre", surface_features, 0, -most_value, most_value, &look.centre) &&
           doubles("views.look.spread", surface_features, 0, 1e-4, most_value, &look.spread) &&
           doubles("views.look.memory", n_, surface_features, -most_value, most_value, &look.memory);
  }

  bool meaning() {
    MeaningView& meaning = views_->meaning;
    const GgufTensor* const metric = find("views.meaning.metric", TensorType::f32, d_, d_);
    if (metric == nullptr || !expect_f32(*metric, -1e9f, 1e9f, error_)) return false;
    const GgufTensor* const memory = find("views.meaning.memory", TensorType::f32, n_, d_);
    if (memory == nullptr || !expect_f32(*memory, -1.001f, 1.001f, error_)) return false;
    meaning = {reinterpret_cast<const float*>(metric->data), reinterpret_cast<const float*>(memory->data), static_cast<std::size_t>(n_), d_};
    return true;
  }

  bool nothing_else(std::size_t keys) {
    std::size_t found_keys = 0, found_tensors = 0;
    for (std::size_t i = 0; i < file_.n_keys; ++i)
      found_keys += std::strncmp(file_.keys[i].name, prefix, sizeof prefix - 1) == 0 &&
                    std::strncmp(file_.keys[i].name + sizeof prefix - 1, views_prefix, sizeof views_prefix - 1) == 0;
    for (std::size_t i = 0; i < file_.n_tensors; ++i)
      found_tensors += std::strncmp(file_.tensors[i].name, views_tensors, sizeof views_tensors - 1) == 0;
    return (found_keys == keys && found_tensors == tensors_) ||
           fail(error_, Status::model_format, "expected %zu keys and %zu tensors of the views, found %zu and %zu; update sanderling", keys, tensors_,
                found_keys, found_tensors);
  }

  const GgufFile& file_;
  std::size_t d_, n_inner_, tensors_ = 0;
  std::uint64_t n_ = 0;
  Views* views_;
  Error* error_;
};

}  // namespace

bool load_views(const GgufFile& file, std::size_t d, std::size_t n_inner, Views* views, Error* error) {
  views->meaning = {};
  views->head = {};
  views->masks = 0;
  return Loader(file, d, n_inner, views, error).load();
}

}  // namespace sanderling
