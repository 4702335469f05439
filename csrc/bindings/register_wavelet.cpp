#include <pybind11/stl.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "../wavelet/filters.h"
#include "../wavelet/wavelet.h"
#include "bindings.h"

namespace sanderling::bindings {
namespace {

constexpr int kMaxLevels = 1024;
// Below it the work is shorter than the hand-over of the interpreter's lock.
constexpr std::size_t kLongWork = 1 << 14;

// Four filters in both precisions.
class Bank {
 public:
  Bank(const std::vector<double>& dec_lo, const std::vector<double>& dec_hi, const std::vector<double>& rec_lo,
       const std::vector<double>& rec_hi)
      : taps_(dec_lo.size()) {
    for (const auto* filter : {&dec_lo, &dec_hi, &rec_lo, &rec_hi}) {
      if (filter->size() != taps_ || taps_ < 2 || taps_ % 2 != 0)
        raise(Status::argument, "expected four filters of the same even length, found others; pad them with zeros");
      wide_.insert(wide_.end(), filter->begin(), filter->end());
    }
    narrow_.assign(wide_.begin(), wide_.end());
  }
  std::size_t taps() const { return taps_; }
  FilterBank view(bool wide) const {
    const auto at = [&](std::size_t i) -> const void* {
      return wide ? static_cast<const void*>(&wide_[i * taps_]) : static_cast<const void*>(&narrow_[i * taps_]);
    };
    return {at(0), at(1), at(2), at(3), taps_, wide};
  }

 private:
  std::size_t taps_;
  std::vector<double> wide_;
  std::vector<float> narrow_;
};

// An array that the core reads as it lies: float32 or float64, native, aligned, C-contiguous.
struct Plain {
  const py::detail::PyArray_Proxy* array = nullptr;
  bool wide = false;

  static Plain of(py::handle object) {
    auto& api = py::detail::npy_api::get();
    if (!api.PyArray_Check_(object.ptr())) return {};
    const auto* array = py::detail::array_proxy(object.ptr());
    constexpr int wanted = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    const auto* type = py::detail::array_descriptor_proxy(array->descr);
    const bool native = type->byteorder == '=' || type->byteorder == '|';
    const bool wide = type->type_num == py::detail::npy_api::NPY_DOUBLE_;
    if (!native || (array->flags & wanted) != wanted || (!wide && type->type_num != py::detail::npy_api::NPY_FLOAT_)) return {};
    return {array, wide};
  }
  std::size_t extent(int from, int to) const {
    std::size_t product = 1;
    for (int i = from; i < to; ++i) product *= static_cast<std::size_t>(array->dimensions[i]);
    return product;
  }
};

int axis_of(const Plain& x, int axis) { return axis < 0 ? axis + x.array->nd : axis; }

// An array like x but for the length of one axis; its values are not set.
py::object like(const Plain& x, int axis, std::size_t length) {
  std::vector<Py_intptr_t> shape(x.array->dimensions, x.array->dimensions + x.array->nd);
  shape[static_cast<std::size_t>(axis)] = static_cast<Py_intptr_t>(length);
  auto& api = py::detail::npy_api::get();
  Py_INCREF(x.array->descr);  // the call takes it
  PyObject* made = api.PyArray_NewFromDescr_(api.PyArray_Type_, x.array->descr, x.array->nd, shape.data(), nullptr, nullptr, 0, nullptr);
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(made);
}

// The table of SANDERLING_ISA. Asking a virtual processor what it has takes longer than a short transform: the last answer is kept,
// under the interpreter's lock.
const KernelTable& kernels() {
  static std::string last;
  static const KernelTable* table = nullptr;
  const char* set = std::getenv("SANDERLING_ISA");
  const char* isa = set == nullptr ? "" : set;
  if (table != nullptr && last == isa) return *table;
  const KernelTable* const found = select_kernels(isa, nullptr);
  if (found == nullptr) {
    // Says why, as everywhere.
    py::module_::import("sanderling._core").attr("isa_selected")(isa);
    raise(Status::isa, "expected an instruction set of this processor, found none");
  }
  last = isa;
  table = found;
  return *table;
}

template <typename Work>
void run(std::size_t values, Work work) {
  bool done = false;
  if (values < kLongWork) {
    done = work();
  } else {
    py::gil_scoped_release released;
    done = work();
  }
  if (!done) raise(Status::memory, "expected memory for the wavelet transform's work, found none; give it fewer samples at a time");
}

void warn_if_above(int level, int most) {
  if (level <= most) return;
  const std::string message = "expected a level of at most " + std::to_string(most) + ", found " + std::to_string(level) +
                              ": all coefficients will see the signal's boundary; take fewer levels or a shorter wavelet";
  const py::object category = py::module_::import("sanderling.errors").attr("InputWarning");
  if (PyErr_WarnEx(category.ptr(), message.c_str(), 2) != 0) throw py::error_already_set();
}

// 0 for anything but a positive int: those take the longer way.
int level_of(const py::object& level) {
  int overflow = 0;
  const long value = PyLong_Check(level.ptr()) ? PyLong_AsLongAndOverflow(level.ptr(), &overflow) : 0;
  return overflow != 0 || value < 0 || value > kMaxLevels ? 0 : static_cast<int>(value);
}

int max_level(std::size_t n, std::size_t taps) {
  int level = 0;
  for (std::size_t rest = n / (taps - 1); rest > 1; rest /= 2) ++level;
  return level;
}

// None: the array or an option is not what the core takes as it is.
py::object wavedec_plain(const py::object& data, const Bank& bank, int mode, const py::object& level, int axis, bool warn) {
  const Plain x = Plain::of(data);
  if (x.array == nullptr || mode < 0 || mode >= static_cast<int>(n_extensions)) return py::none();
  axis = axis_of(x, axis);
  if (axis < 0 || axis >= x.array->nd) return py::none();
  const Extension extension = static_cast<Extension>(mode);
  const std::size_t n = x.extent(axis, axis + 1), least = extension == Extension::reflect || extension == Extension::antireflect ? 2 : 1;
  const int most = max_level(n, bank.taps()), levels = level.is_none() ? most : level_of(level);
  if (n < least || levels < 1) return py::none();
  if (warn) warn_if_above(levels, most);

  const KernelTable& table = kernels();
  const std::size_t outer = x.extent(0, axis), lanes = x.extent(axis + 1, x.array->nd);
  std::vector<void*> out(static_cast<std::size_t>(levels) + 1);
  py::list made(out.size());
  std::size_t length = n;
  const auto add = [&](std::size_t at) {
    py::object array = like(x, axis, length);
    out[at] = py::detail::array_proxy(array.ptr())->data;
    PyList_SET_ITEM(made.ptr(), static_cast<py::ssize_t>(at), array.release().ptr());
  };
  for (std::size_t i = static_cast<std::size_t>(levels); i > 0; --i) {
    if (length < least) return py::none();
    length = dwt_length(length, bank.taps(), extension);
    add(i);
  }
  add(0);
  if (outer * lanes != 0)
    run(outer * n * lanes, [&] {
      return wavedec(table, bank.view(x.wide), extension, outer, n, lanes, static_cast<std::size_t>(levels), x.array->data, out.data());
    });
  return made;
}

// None: the coefficients or an option are not what the core takes as they are. equal: a detail as long as its approximation.
py::object waverec_plain(const py::sequence& coefficients, const Bank& bank, int mode, int axis, bool equal) {
  const std::size_t count = coefficients.size();
  if (count < 2 || count > kMaxLevels + 1 || mode < 0 || mode >= static_cast<int>(n_extensions)) return py::none();
  const Extension extension = static_cast<Extension>(mode);
  std::vector<py::object> owners(count);
  std::vector<const void*> in(count);
  std::vector<std::size_t> lengths(count);
  Plain first;
  std::size_t rebuilt = 0, values = 0;
  for (std::size_t i = 0; i < count; ++i) {
    owners[i] = coefficients[i];
    const Plain x = Plain::of(owners[i]);
    if (x.array == nullptr) return py::none();
    if (i == 0) {
      first = x;
      axis = axis_of(x, axis);
      if (axis < 0 || axis >= x.array->nd) return py::none();
    }
    if (x.wide != first.wide || x.array->nd != first.array->nd) return py::none();
    for (int k = 0; k < x.array->nd; ++k)
      if (k != axis && x.array->dimensions[k] != first.array->dimensions[k]) return py::none();
    in[i] = x.array->data;
    lengths[i] = x.extent(axis, axis + 1);
    values += x.extent(0, x.array->nd);
    if (i == 0) {
      rebuilt = lengths[0];
      continue;
    }
    if (rebuilt != lengths[i] && (equal || rebuilt != lengths[i] + 1)) return py::none();
    rebuilt = idwt_length(lengths[i], bank.taps(), extension);
    if (rebuilt == 0) return py::none();
  }
  const KernelTable& table = kernels();
  const std::size_t outer = first.extent(0, axis), lanes = first.extent(axis + 1, first.array->nd);
  py::object made = like(first, axis, rebuilt);
  void* out = py::detail::array_proxy(made.ptr())->data;
  if (outer * lanes != 0)
    run(values, [&] {
      return waverec(table, bank.view(first.wide), extension, outer, lanes, count - 1, in.data(), lengths.data(), out);
    });
  return made;
}

py::list names() {
  py::list all;
  for (std::size_t i = 0; wavelet_name(i) != nullptr; ++i) all.append(py::str(wavelet_name(i)));
  return all;
}

py::object low_pass(const std::string& name) {
  std::vector<double> dec(max_taps), rec(max_taps);
  const std::size_t taps = wavelet_filters(name.c_str(), dec.data(), rec.data());
  if (taps == 0) return py::none();
  py::list dec_lo, rec_lo;
  for (std::size_t i = 0; i < taps; ++i) {
    dec_lo.append(dec[i]);
    rec_lo.append(rec[i]);
  }
  return py::make_tuple(dec_lo, rec_lo);
}

py::list extensions() {
  py::list all;
  for (const char* name : extension_names) all.append(py::str(name));
  return all;
}

}  // namespace

void register_wavelet(py::module_& module) {
  py::class_<Bank>(module, "FilterBank", "Four filters of a wavelet, in float32 and float64.")
      .def(py::init([](const std::vector<double>& dec_lo, const std::vector<double>& dec_hi, const std::vector<double>& rec_lo,
                       const std::vector<double>& rec_hi) { return std::make_unique<Bank>(dec_lo, dec_hi, rec_lo, rec_hi); }),
           py::arg("dec_lo"), py::arg("dec_hi"), py::arg("rec_lo"), py::arg("rec_hi"));
  module.def("wavelet_names", &names, "Names of the discrete wavelets.");
  module.def("wavelet_low_pass", &low_pass, py::arg("name"), "(dec_lo, rec_lo) of a wavelet, or None for an unknown name.");
  module.def("wavelet_modes", &extensions, "Names of the signal extension modes, in the order of their numbers.");
  module.def("wavedec", &wavedec_plain, py::arg("data"), py::arg("bank"), py::arg("mode"), py::arg("level"), py::arg("axis"),
             py::arg("warn"), "[cA_n, cD_n, .., cD_1], or None where an argument needs a closer look.");
  module.def("waverec", &waverec_plain, py::arg("coeffs"), py::arg("bank"), py::arg("mode"), py::arg("axis"), py::arg("equal"),
             "The signal, or None where an argument needs a closer look.");
}

}  // namespace sanderling::bindings
