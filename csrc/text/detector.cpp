#include "detector.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "../model/config_reader.h"
#include "clean.h"
#include "mask.h"
#include "opening.h"
#include "views_loader.h"

namespace sanderling {
namespace {

constexpr double look_at_least = 2.0;  // nats below which the look says nothing

}  // namespace

class TextDetector {
 public:
  ~TextDetector() { block_free(scratch_); }
  TextEncoder& source() { return encoder; }

  bool load(std::uint32_t max_tokens, Error* error) {
    const GgufFile& file = encoder.file;
    KeyReader reader(file, error);
    if (!reader.container()) return false;
    if (file.find_key("sanderling.text.views.threshold") == nullptr)
      return fail(error, Status::model_format, "expected a calibrated text detector, found another model; run sanderling text calibrate, then text export");
    file.release_pages();  // what opening has read would stand beside the encoder's weights
    const bool meaning = file.find_key("sanderling.text.d_model") != nullptr;
    if (meaning ? !encoder.load(max_tokens, error) : !alone(&reader, error)) return false;
    if (!load_views(file, meaning ? encoder.config.d_model : 0, meaning ? encoder.config.n_layers - 1 : 0, &views, error)) return false;
    file.release_pages();
    scratch_ = place_block([this](Arena& arena) {
      const std::size_t d = views.meaning.d;
      text_ = arena.take<char32_t>(cleaned_characters);
      utf8 = arena.take<char>(cleaned_bytes);
      surface_ = arena.take<SurfaceWork>(1);
      row_ = arena.take<float>(d);
      inner_ = views.head.n_inner == 0 ? nullptr : arena.take<float>(views.head.n_inner * d);
      work_ = arena.take<double>(std::max(2 * d, views.words.n));
      words_ = arena.take<WeighedWords>(1);
    });
    return scratch_ != nullptr || fail(error, Status::memory, "expected memory for a text, found less; free some");
  }

  void score(const char* from, std::size_t n, TextScore* out) {
    const std::size_t count = clean_text(from, n, text_);
    mask_text(views.masks, text_, count);
    bytes = 0;
    for (std::size_t i = 0; i < count; ++i) bytes += write_utf8(text_[i], reinterpret_cast<unsigned char*>(utf8) + bytes);
    double features[surface_features], z[surface_features];
    surface_of(text_, count, surface_, features);
    views.look.scale(features, z);
    out->nats[characters_view] = views.scales[characters_view].nats(views.characters.distance(text_, count));
    out->nats[look_view] = views.scales[look_view].nats(views.look.distance(z));
    weigh_words(views.words.table, text_, count, words_);
    out->nats[words_view] = views.scales[words_view].nats(views.words.distance(*words_, work_));
    out->nats[meaning_view] = 0.0;
    if (views.meaning.d != 0) {
      text_encode(&encoder, utf8, bytes, row_, inner_);
      out->nats[meaning_view] = views.scales[meaning_view].nats(views.meaning.distance(row_, work_));
    }
    out->score = on_grid(views.head.weight == nullptr ? fused(out->nats) : logit(out->nats, z, count));
    out->alarm = out->score > views.threshold;
  }

  TextEncoder encoder;  // only its file is used where the model has no encoder
  Views views = {};
  char* utf8 = nullptr;  // the text at hand, cleaned
  std::size_t bytes = 0;

 private:
  double fused(const double (&nats)[n_views]) const {
    const double letters = nats[characters_view] + nats[words_view], look = std::max(nats[look_view] - look_at_least, 0.0);
    return views.meaning.d == 0 ? letters + look : letters / 2 + look + nats[meaning_view];
  }

  double logit(const double (&nats)[n_views], const double* z, std::size_t count) const {
    if (views.head.d == 0) weigh_words(views.head.words, text_, count, words_);
    double in_order[n_views];
    std::size_t n = 0;
    for (const View view : {characters_view, look_view, meaning_view, words_view})
      if (view != meaning_view || views.meaning.d != 0) in_order[n++] = nats[view];
    return views.head.logit(in_order, n, z, work_, inner_, *words_);
  }

  // A file of the views alone.
  bool alone(KeyReader* reader, Error* error) {
    const auto known = [](const char* name) { return std::strcmp(name, "version") == 0 || std::strncmp(name, views_prefix, sizeof views_prefix - 1) == 0; };
    if (!reader->no_unknown_keys(known)) return false;
    for (std::size_t i = 0; i < encoder.file.n_tensors; ++i)
      if (std::strncmp(encoder.file.tensors[i].name, views_tensors, sizeof views_tensors - 1) != 0)
        return fail(error, Status::model_format, "expected tensors of the views, found %s; export the detector again", encoder.file.tensors[i].name);
    return true;
  }

  char32_t* text_ = nullptr;
  SurfaceWork* surface_ = nullptr;
  float *row_ = nullptr, *inner_ = nullptr;
  double* work_ = nullptr;
  WeighedWords* words_ = nullptr;
  void* scratch_ = nullptr;
};

bool text_has_views(const char* path, bool* has, Error* error) {
  GgufFile file;
  if (!file.open(path, error)) return false;
  *has = file.find_key("sanderling.text.views.threshold") != nullptr;
  return true;
}

TextDetector* text_detector_open(const char* path, const char* isa, std::uint32_t max_tokens, Error* error) {
  return open_text<TextDetector>("detector", path, isa, max_tokens, error);
}

TextDetector* text_detector_parse(const std::uint8_t* data, std::size_t size, const char* isa, std::uint32_t max_tokens, Error* error) {
  return parse_text<TextDetector>("detector", data, size, isa, max_tokens, error);
}

void text_detector_close(TextDetector* detector) { delete detector; }

void text_detector_info(const TextDetector* detector, TextDetectorInfo* info) {
  info->meaning = detector->views.meaning.d != 0;
  info->threshold = detector->views.threshold;
  info->reference = detector->views.look.n;
  std::snprintf(info->isa, sizeof info->isa, "%s", detector->encoder.kernels->isa);
}

void text_score(TextDetector* detector, const char* text, std::size_t n, TextScore* score) { detector->score(text, n, score); }

const char* text_cleaned(const TextDetector* detector, std::size_t* bytes) {
  *bytes = detector->bytes;
  return detector->utf8;
}

}  // namespace sanderling
