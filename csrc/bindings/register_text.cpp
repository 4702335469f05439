#include <mutex>
#include <string>

#include "bindings.h"
#include "text/detector.h"

namespace sanderling::bindings {
namespace {

struct TextHandle {
  explicit TextHandle(TextEncoder* opened) : raw(opened) { text_info(raw, &info); }
  TextHandle(const TextHandle&) = delete;
  TextHandle& operator=(const TextHandle&) = delete;
  ~TextHandle() { text_close(raw); }
  TextEncoder* raw;
  TextInfo info;
  std::mutex mutex;  // two Python threads may hold the same encoder while the GIL is released
};

// A str as UTF-8 (lone surrogates as three bytes, which the tokenizer finds invalid), or bytes as they are.
py::bytes utf8(const py::handle& text) {
  if (PyBytes_Check(text.ptr())) return py::reinterpret_borrow<py::bytes>(text);
  if (!PyUnicode_Check(text.ptr())) raise(Status::argument, "expected texts as str or bytes, found another type; convert them");
  PyObject* const encoded = PyUnicode_AsEncodedString(text.ptr(), "utf-8", "surrogatepass");
  if (encoded == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::bytes>(encoded);
}

struct Bytes {
  char* data = nullptr;
  py::ssize_t size = 0;
  explicit Bytes(const py::bytes& owner) {
    if (PyBytes_AsStringAndSize(owner.ptr(), &data, &size) != 0) throw py::error_already_set();
  }
};

std::unique_ptr<TextHandle> adopt(TextEncoder* encoder, const Error& error) {
  if (encoder == nullptr) raise(error);
  return std::make_unique<TextHandle>(encoder);
}

std::unique_ptr<TextHandle> open(const std::string& path, const std::string& isa, std::uint32_t max_tokens) {
  Error error;
  TextEncoder* encoder = nullptr;
  {
    py::gil_scoped_release nogil;
    encoder = text_open(path.c_str(), isa.c_str(), max_tokens, &error);
  }
  return adopt(encoder, error);
}

std::unique_ptr<TextHandle> parse(const py::bytes& data, const std::string& isa, std::uint32_t max_tokens) {
  const Bytes bytes(data);
  Error error;
  TextEncoder* const encoder = text_parse(reinterpret_cast<const std::uint8_t*>(bytes.data), static_cast<std::size_t>(bytes.size), isa.c_str(),
                                          max_tokens, &error);
  return adopt(encoder, error);
}

py::object encode(TextHandle& encoder, const py::sequence& texts, bool inner) {
  if (PyBytes_Check(texts.ptr()) || PyUnicode_Check(texts.ptr()))
    raise(Status::argument, "expected a list of texts as str or bytes, found one text; put it into a list");
  const auto n = static_cast<py::ssize_t>(texts.size());
  py::array_t<float> out({n, static_cast<py::ssize_t>(encoder.info.d_model)});
  const auto d = static_cast<py::ssize_t>(encoder.info.d_model), layers = static_cast<py::ssize_t>(encoder.info.n_layers) - 1;
  py::array_t<float> means({inner ? n : 0, layers, d});
  float *const rows = out.mutable_data(), *const inner_rows = means.mutable_data();
  for (py::ssize_t i = 0; i < n; ++i) {
    const py::bytes owner = utf8(texts[static_cast<std::size_t>(i)]);
    const Bytes text(owner);
    py::gil_scoped_release nogil;
    const std::lock_guard<std::mutex> lock(encoder.mutex);
    text_encode(encoder.raw, text.data, static_cast<std::size_t>(text.size), rows + i * d, inner ? inner_rows + i * layers * d : nullptr);
  }
  if (inner) return py::make_tuple(out, means);
  return std::move(out);
}

py::array_t<float> embed(TextHandle& encoder, const py::array_t<std::uint32_t, py::array::c_style>& ids) {
  py::array_t<float> out(static_cast<py::ssize_t>(encoder.info.d_model));
  const auto n = static_cast<std::size_t>(ids.size());
  const std::uint32_t* const from = ids.data();
  float* const row = out.mutable_data();
  Error error;
  bool ok = false;
  {
    py::gil_scoped_release nogil;
    const std::lock_guard<std::mutex> lock(encoder.mutex);
    ok = text_embed(encoder.raw, from, n, row, &error);
  }
  if (!ok) raise(error);
  return out;
}

py::array_t<std::uint32_t> tokenize(const TextHandle& encoder, const py::object& text) {
  const py::bytes owner = utf8(text);
  const Bytes bytes(owner);
  std::vector<std::uint32_t> ids(encoder.info.max_tokens);
  const std::size_t n = text_tokenize(encoder.raw, bytes.data, static_cast<std::size_t>(bytes.size), ids.data());
  return py::array_t<std::uint32_t>(static_cast<py::ssize_t>(n), ids.data());
}

py::bytes token(const TextHandle& encoder, std::uint32_t id) {
  std::size_t n = 0;
  const char* const text = text_token(encoder.raw, id, &n);
  if (text == nullptr) raise(Status::argument, "expected an id of the vocabulary, found one beyond it; use this model's tokenizer");
  return py::bytes(text, n);
}

py::dict info(const TextHandle& encoder) {
  const TextInfo& i = encoder.info;
  using namespace py::literals;
  return py::dict("variant"_a = i.variant, "isa"_a = i.isa, "d_model"_a = i.d_model, "n_layers"_a = i.n_layers,
                  "vocabulary"_a = i.vocabulary, "positions"_a = i.positions, "max_tokens"_a = i.max_tokens, "window"_a = i.window,
                  "pooling"_a = i.pooling, "normalised"_a = i.normalised, "tokenizer"_a = i.tokenizer, "weight_bytes"_a = i.weight_bytes);
}

struct DetectorHandle {
  explicit DetectorHandle(TextDetector* opened) : raw(opened) {}
  DetectorHandle(const DetectorHandle&) = delete;
  DetectorHandle& operator=(const DetectorHandle&) = delete;
  ~DetectorHandle() { text_detector_close(raw); }
  TextDetector* raw;
  std::mutex mutex;
};

std::unique_ptr<DetectorHandle> parse_detector(const py::bytes& data, const std::string& isa, std::uint32_t max_tokens) {
  const Bytes bytes(data);
  Error error;
  TextDetector* const detector =
      text_detector_parse(reinterpret_cast<const std::uint8_t*>(bytes.data), static_cast<std::size_t>(bytes.size), isa.c_str(), max_tokens, &error);
  if (detector == nullptr) raise(error);
  return std::make_unique<DetectorHandle>(detector);
}

py::array_t<double> score(DetectorHandle& detector, const py::sequence& texts) {
  if (PyBytes_Check(texts.ptr()) || PyUnicode_Check(texts.ptr()))
    raise(Status::argument, "expected a list of texts as str or bytes, found one text; put it into a list");
  const auto n = static_cast<py::ssize_t>(texts.size());
  constexpr py::ssize_t columns = 1 + n_views;
  py::array_t<double> out({n, columns});
  double* const rows = out.mutable_data();
  for (py::ssize_t i = 0; i < n; ++i) {
    const py::bytes owner = utf8(texts[static_cast<std::size_t>(i)]);
    const Bytes text(owner);
    py::gil_scoped_release nogil;
    const std::lock_guard<std::mutex> lock(detector.mutex);
    TextScore found;
    text_score(detector.raw, text.data, static_cast<std::size_t>(text.size), &found);
    rows[i * columns] = found.score;
    for (py::ssize_t view = 0; view < columns - 1; ++view) rows[i * columns + 1 + view] = found.nats[view];
  }
  return out;
}

py::bytes cleaned(DetectorHandle& detector, const py::object& text) {
  const py::bytes owner = utf8(text);
  const Bytes bytes(owner);
  const std::lock_guard<std::mutex> lock(detector.mutex);
  TextScore found;
  text_score(detector.raw, bytes.data, static_cast<std::size_t>(bytes.size), &found);
  std::size_t n = 0;
  const char* const out = text_cleaned(detector.raw, &n);
  return py::bytes(out, n);
}

py::dict detector_info(const DetectorHandle& detector) {
  TextDetectorInfo i;
  text_detector_info(detector.raw, &i);
  using namespace py::literals;
  return py::dict("meaning"_a = i.meaning, "threshold"_a = i.threshold, "reference"_a = i.reference, "isa"_a = i.isa);
}

}  // namespace

void register_text(py::module_& module) {
  py::class_<TextHandle>(module, "TextEncoder", "A native text encoder with its tokenizer, checked and packed.")
      .def_static("open", &open, py::arg("path"), py::arg("isa") = "", py::arg("max_tokens") = 0,
                  "Opens a file (path as bytes in the file system's encoding). isa '' = SANDERLING_ISA, then the best; max_tokens 0 = the file's.")
      .def_static("parse", &parse, py::arg("data"), py::arg("isa") = "", py::arg("max_tokens") = 0, "The same from memory.")
      .def("encode", &encode, py::arg("texts"), py::arg("inner") = false,
           "Texts (str, or UTF-8 as bytes) -> float32 (texts, d_model); inner: and the means over the tokens of all layers but the last, (texts, layers - 1, d_model).")
      .def("embed", &embed, py::arg("ids").noconvert(), "uint32 ids (tokens,) -> float32 (d_model,).")
      .def("tokenize", &tokenize, py::arg("text"), "uint32 ids (tokens,), [CLS] and [SEP] around them, at most max_tokens.")
      .def("token", &token, py::arg("id"), "The UTF-8 of an id's token.")
      .def("info", &info, "What the file says, as a dict.");
  py::class_<DetectorHandle>(module, "TextScorer", "A calibrated text detector as the runner has it (docs/text_core.md).")
      .def_static("parse", &parse_detector, py::arg("data"), py::arg("isa") = "", py::arg("max_tokens") = 0, "From a file's bytes.")
      .def("score", &score, py::arg("texts"), "Texts (str, or UTF-8 as bytes) -> float64 (texts, 5): score, nats of meaning, characters, words, look.")
      .def("cleaned", &cleaned, py::arg("text"), "The UTF-8 of a cleaned text.")
      .def("info", &detector_info, "What the file says, as a dict.");
}

}  // namespace sanderling::bindings
