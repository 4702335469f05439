#include "bindings.h"

namespace sanderling::bindings {
namespace {

struct StatusClass {
  Status status;
  const char* python_class;  // in sanderling.errors
};

constexpr StatusClass kClasses[] = {
    {Status::argument, "InputError"},       {Status::isa, "IsaError"},
    {Status::model_format, "FormatError"},  {Status::model_version, "VersionError"},
    {Status::data, "CalibrationError"},     {Status::io, "StorageError"},
    {Status::memory, "OutOfMemoryError"},   {Status::environment, "FloatEnvironmentError"},
};

[[noreturn]] void raise_class(const char* name, const char* message) {
  const py::object cls = py::module_::import("sanderling.errors").attr(name);
  PyErr_SetString(cls.ptr(), message);
  throw py::error_already_set();
}

}  // namespace

void raise(Status status, const char* message) {
  for (const StatusClass& entry : kClasses) {
    if (entry.status == status) raise_class(entry.python_class, message);
  }
  raise_class("SanderlingError", message);
}

void raise(const Error& error) { raise(error.status, error.message); }

Signal signal_of(const FloatArray& x) {
  if (x.ndim() != 2) raise_class("ShapeError", "expected an array of shape (time, channels)");
  const auto address = reinterpret_cast<std::uintptr_t>(x.data());
  if (address % alignof(float) != 0) raise_class("ShapeError", "expected an aligned float32 array");
  return {x.data(), static_cast<std::size_t>(x.shape(0)), static_cast<std::size_t>(x.shape(1))};
}

}  // namespace sanderling::bindings
