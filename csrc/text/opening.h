// How a text encoder or a detector is opened: Handle has load(max_tokens, error), and source(), the encoder whose file and kernels it uses.
#pragma once
#include <new>

#include "../model/model.h"
#include "encoder.h"

namespace sanderling {

// Everything after the bytes are at hand. `read` opens or copies them into the file; what: for an error.
template <typename Handle, typename Read>
Handle* make_text(const char* what, const char* isa, std::uint32_t max_tokens, Error* error, Read read) {
  if (!float_environment_ok()) return fail(error, Status::environment, "%s", float_environment_message), nullptr;
  const KernelTable* kernels = choose_kernels(isa, error);
  if (kernels == nullptr) return nullptr;
  auto* handle = new (std::nothrow) Handle();
  if (handle == nullptr) return fail(error, Status::memory, "expected memory for a text %s, found none; free some", what), nullptr;
  handle->source().kernels = kernels;
  if (read(&handle->source().file) && handle->load(max_tokens, error)) return handle;
  delete handle;
  return nullptr;
}

template <typename Handle>
Handle* open_text(const char* what, const char* path, const char* isa, std::uint32_t max_tokens, Error* error) {
  if (path == nullptr) return fail(error, Status::argument, "expected a path, found none; name the file"), nullptr;
  return make_text<Handle>(what, isa, max_tokens, error, [=](GgufFile* file) { return file->open(path, error); });
}

template <typename Handle>
Handle* parse_text(const char* what, const std::uint8_t* data, std::size_t size, const char* isa, std::uint32_t max_tokens, Error* error) {
  return make_text<Handle>(what, isa, max_tokens, error, [=](GgufFile* file) { return file->copy(data, size, error); });
}

}  // namespace sanderling
