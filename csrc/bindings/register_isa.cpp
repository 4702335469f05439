#include <cstring>
#include <string>

#include "../kernels/kernels.h"
#include "bindings.h"

namespace sanderling::bindings {
namespace {

py::tuple compiled() {
  std::size_t count = 0;
  const KernelTable* const* tables = kernel_tables(&count);
  py::tuple names(count);
  for (std::size_t i = 0; i < count; ++i) names[i] = py::str(tables[i]->isa);
  return names;
}

py::list supported() {
  std::size_t count = 0;
  const KernelTable* const* tables = kernel_tables(&count);
  py::list names;
  for (std::size_t i = 0; i < count; ++i) {
    if (tables[i]->supported()) names.append(py::str(tables[i]->isa));
  }
  return names;
}

std::string selected(const std::string& name) {
  const char* why = "";
  const KernelTable* table = select_kernels(name.c_str(), &why);
  if (table != nullptr) return table->isa;
  const bool unknown = std::strcmp(why, "unknown") == 0;
  const std::string message = "expected one of the instruction sets " + std::string(isa_names()) + ", found '" + name +
                              "' (" + (unknown ? "not compiled in" : "this processor lacks it") +
                              "); choose another or leave SANDERLING_ISA unset";
  raise(Status::isa, message.c_str());
}

}  // namespace

void register_isa(py::module_& module) {
  module.def("isa_compiled", &compiled, "Names of the compiled instruction sets, best first.");
  module.def("isa_supported", &supported, "Names that this processor can run, best first.");
  module.def("isa_selected", &selected, py::arg("name") = "",
             "The name that `name` selects; '' takes the best supported one. Raises IsaError.");
  module.def("float_environment_ok", &float_environment_ok,
             "Whether rounding is to nearest-even and denormals are kept.");
}

}  // namespace sanderling::bindings
