#include <cstring>

#include "checked.h"
#include "gguf.h"
#include "memory.h"

namespace sanderling {
namespace {

// Bytes of a scalar, by GgufType; 0: string and array, which carry their own length.
constexpr std::uint64_t scalar_bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
constexpr std::uint32_t n_types = sizeof scalar_bytes / sizeof scalar_bytes[0];

// A cursor that never passes `end`.
struct Cursor {
  const std::uint8_t* at;
  const std::uint8_t* end;

  std::uint64_t left() const { return static_cast<std::uint64_t>(end - at); }
  bool skip(std::uint64_t n) {
    if (n > left()) return false;
    at += n;
    return true;
  }
  template <typename T>
  bool read(T* out) {
    if (sizeof(T) > left()) return false;
    std::memcpy(out, at, sizeof(T));
    at += sizeof(T);
    return true;
  }
};

bool truncated(Error* error, const char* what) {
  return fail(error, Status::model_format, "expected a complete GGUF file, found its end inside %s; copy the file again", what);
}

// A name of 1..63 bytes without a zero byte.
bool read_name(Cursor* in, char (&name)[64], const char* what, Error* error) {
  std::uint64_t n = 0;
  if (!in->read(&n)) return truncated(error, what);
  if (n == 0 || n > gguf_max_name)
    return fail(error, Status::model_format, "expected %s of 1 to %llu bytes, found %llu; export the model again", what,
                static_cast<unsigned long long>(gguf_max_name), static_cast<unsigned long long>(n));
  if (n > in->left()) return truncated(error, what);
  std::memcpy(name, in->at, n);
  name[n] = 0;
  in->at += n;
  if (std::strlen(name) != n)
    return fail(error, Status::model_format, "expected %s without zero bytes; export the model again", what);
  return true;
}

bool read_string(Cursor* in, std::uint64_t* count, const std::uint8_t** value) {
  if (!in->read(count)) return false;
  *value = in->at;
  return in->skip(*count);
}

bool read_array(Cursor* in, GgufKey* key, Error* error) {
  std::uint32_t item = 0;
  if (!in->read(&item) || !in->read(&key->count)) return truncated(error, key->name);
  if (item >= n_types || item == static_cast<std::uint32_t>(GgufType::array))
    return fail(error, Status::model_format, "expected an array of scalars or strings in %s, found item type %u; export the model again",
                key->name, item);
  key->item = static_cast<GgufType>(item);
  key->value = in->at;
  if (key->item != GgufType::string) {
    std::uint64_t bytes = 0;
    if (!checked_mul(key->count, scalar_bytes[item], &bytes) || !in->skip(bytes)) return truncated(error, key->name);
    return true;
  }
  // Every string takes 8 bytes at least, so a wild count ends at the file's end.
  for (std::uint64_t i = 0; i < key->count; ++i) {
    std::uint64_t n = 0;
    const std::uint8_t* text = nullptr;
    if (!read_string(in, &n, &text)) return truncated(error, key->name);
  }
  return true;
}

bool read_key(Cursor* in, GgufKey* key, Error* error) {
  key->begin = in->at;
  std::uint32_t type = 0;
  if (!read_name(in, key->name, "a key name", error)) return false;
  if (!in->read(&type)) return truncated(error, key->name);
  if (type >= n_types)
    return fail(error, Status::model_format, "expected a GGUF value type below %u in %s, found %u; export the model again", n_types,
                key->name, type);
  key->type = static_cast<GgufType>(type);
  key->item = key->type;
  key->count = 1;
  key->value = in->at;
  if (key->type == GgufType::array) {
    if (!read_array(in, key, error)) return false;
  } else if (key->type == GgufType::string) {
    if (!read_string(in, &key->count, &key->value)) return truncated(error, key->name);
  } else if (!in->skip(scalar_bytes[type])) {
    return truncated(error, key->name);
  }
  key->end = in->at;
  return true;
}

// Reads one tensor info; *offset is relative to the data section.
bool read_tensor(Cursor* in, GgufTensor* tensor, std::uint64_t* offset, Error* error) {
  std::uint32_t type = 0;
  if (!read_name(in, tensor->name, "a tensor name", error)) return false;
  if (!in->read(&tensor->rank)) return truncated(error, tensor->name);
  if (tensor->rank == 0 || tensor->rank > gguf_max_rank)
    return fail(error, Status::model_format, "expected rank 1 to %u of %s, found %u; export the model again", gguf_max_rank,
                tensor->name, tensor->rank);
  for (std::uint64_t& n : tensor->shape) n = 1;
  std::uint64_t items = 1;
  for (std::uint32_t i = 0; i < tensor->rank; ++i) {
    std::uint64_t n = 0;
    if (!in->read(&n)) return truncated(error, tensor->name);
    tensor->shape[tensor->rank - 1 - i] = n;
    if (n == 0 || !checked_mul(items, n, &items))
      return fail(error, Status::model_format, "expected dimensions of 1 or more in %s, found %llu; export the model again",
                  tensor->name, static_cast<unsigned long long>(n));
  }
  if (!in->read(&type) || !in->read(offset)) return truncated(error, tensor->name);
  tensor->type = static_cast<TensorType>(type);
  const std::uint64_t item = tensor_item_bytes(tensor->type);
  if (item == 0)
    return fail(error, Status::model_format, "expected tensor type F32, I8, I32, I64 or F64 of %s, found %u; export the model again",
                tensor->name, type);
  if (!checked_mul(items, item, &tensor->bytes))
    return fail(error, Status::model_format, "expected a size below 2^64 of %s; export the model again", tensor->name);
  return true;
}

template <typename Entry>
bool unique_names(const Entry* list, std::size_t n, const char* what, Error* error) {
  for (std::size_t i = 1; i < n; ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (std::strcmp(list[i].name, list[j].name) == 0)
        return fail(error, Status::model_format, "expected every %s once, found %s twice; export the model again", what, list[i].name);
  return true;
}

bool all_zero(const std::uint8_t* p, std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i)
    if (p[i] != 0) return false;
  return true;
}

}  // namespace

std::uint64_t tensor_item_bytes(TensorType type) {
  switch (type) {
    case TensorType::f32: return 4;
    case TensorType::i8: return 1;
    case TensorType::i32: return 4;
    case TensorType::i64: return 8;
    case TensorType::f64: return 8;
  }
  return 0;
}

const GgufKey* GgufFile::find_key(const char* name) const {
  for (std::size_t i = 0; i < n_keys; ++i)
    if (std::strcmp(keys[i].name, name) == 0) return &keys[i];
  return nullptr;
}

const GgufTensor* GgufFile::find_tensor(const char* name) const {
  for (std::size_t i = 0; i < n_tensors; ++i)
    if (std::strcmp(tensors[i].name, name) == 0) return &tensors[i];
  return nullptr;
}

bool GgufFile::parse(Error* error) {
  Cursor in{data_, data_ + size_};
  char magic[4] = {};
  std::uint32_t version = 0;
  std::uint64_t tensor_count = 0, key_count = 0;
  if (!in.read(&magic)) return truncated(error, "the header");
  if (std::memcmp(magic, "GGUF", 4) != 0)
    return fail(error, Status::model_format, "expected a GGUF file (first bytes GGUF), found other bytes; give a sanderling model");
  if (!in.read(&version)) return truncated(error, "the header");
  if (version != 3)
    return fail(error, Status::model_format, "expected GGUF version 3, found %u; export the model again", version);
  if (!in.read(&tensor_count) || !in.read(&key_count)) return truncated(error, "the header");
  if (tensor_count > gguf_max_tensors || key_count > gguf_max_keys)
    return fail(error, Status::model_format, "expected at most %llu tensors and %llu keys, found %llu and %llu; export the model again",
                static_cast<unsigned long long>(gguf_max_tensors), static_cast<unsigned long long>(gguf_max_keys),
                static_cast<unsigned long long>(tensor_count), static_cast<unsigned long long>(key_count));

  GgufKey* key_table = nullptr;
  GgufTensor* tensor_table = nullptr;
  std::uint64_t* offsets = nullptr;
  tables_ = place_block([&](Arena& arena) {
    key_table = arena.take<GgufKey>(key_count);
    tensor_table = arena.take<GgufTensor>(tensor_count);
    offsets = arena.take<std::uint64_t>(tensor_count);
  });
  if (tables_ == nullptr) return fail(error, Status::memory, "expected memory for the model's tables, found none; free some");
  keys = key_table;
  tensors = tensor_table;

  for (n_keys = 0; n_keys < key_count; ++n_keys)
    if (!read_key(&in, &key_table[n_keys], error)) return false;
  for (n_tensors = 0; n_tensors < tensor_count; ++n_tensors)
    if (!read_tensor(&in, &tensor_table[n_tensors], &offsets[n_tensors], error)) return false;
  if (!unique_names(keys, n_keys, "key", error) || !unique_names(tensors, n_tensors, "tensor", error)) return false;

  // Tensors follow one another in the infos' order: offset = the padded end of the one before. That rules out overlaps and holes.
  std::uint64_t at = static_cast<std::uint64_t>(in.at - data_), start = 0;
  if (!checked_align(at, gguf_alignment, &start) || start > size_) {
    if (n_tensors > 0) return truncated(error, "the tensor data");
    start = size_;
  }
  const auto padding = [&](std::uint64_t from, std::uint64_t to) {
    return all_zero(data_ + from, to - from) ||
           fail(error, Status::model_format, "expected zero bytes between the tensors, found others; export the model again");
  };
  if (!padding(at, start)) return false;
  at = start;
  for (std::size_t i = 0; i < n_tensors; ++i) {
    GgufTensor& tensor = tensor_table[i];
    std::uint64_t aligned = 0, end = 0;
    if (!checked_align(at, gguf_alignment, &aligned) || aligned > size_) return truncated(error, tensor.name);
    if (offsets[i] != aligned - start)
      return fail(error, Status::model_format, "expected the data of %s at offset %llu, found %llu; export the model again",
                  tensor.name, static_cast<unsigned long long>(aligned - start), static_cast<unsigned long long>(offsets[i]));
    if (!padding(at, aligned)) return false;
    if (!checked_add(aligned, tensor.bytes, &end) || end > size_) return truncated(error, tensor.name);
    tensor.data = data_ + aligned;
    at = end;
  }
  std::uint64_t padded = 0;
  if (size_ != at && (!checked_align(at, gguf_alignment, &padded) || size_ != padded))
    return fail(error, Status::model_format, "expected the file to end with its last tensor, found %llu bytes more; export it again",
                static_cast<unsigned long long>(size_ - at));
  return padding(at, size_);
}

}  // namespace sanderling
