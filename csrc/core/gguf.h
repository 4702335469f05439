// GGUF version 3 containers (docs/format.md): a reader that assumes an enemy wrote the file, and a writer whose bytes depend on the
// content only. The reader knows containers; which keys and tensors a model needs is model/weights.cpp's business.
#pragma once
#include <cstddef>
#include <cstdint>

#include "error.h"

namespace sanderling {

enum class GgufType : std::uint32_t {
  u8 = 0, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64,
};
enum class TensorType : std::uint32_t { f32 = 0, i8 = 24, i32 = 26, i64 = 27, f64 = 28 };

constexpr std::uint64_t gguf_alignment = 32;
constexpr std::uint64_t gguf_max_keys = 256;
constexpr std::uint64_t gguf_max_tensors = 1024;
constexpr std::uint64_t gguf_max_name = 63;  // bytes of a key or a tensor name
constexpr std::uint32_t gguf_max_rank = 4;

struct GgufKey {
  char name[64];
  GgufType type, item;         // item: of arrays
  std::uint64_t count;         // of an array's items or a string's bytes; 1 otherwise
  const std::uint8_t* value;   // the scalar, the string's bytes or the array's items; unaligned
  const std::uint8_t* begin;   // the whole entry, to copy it to another file
  const std::uint8_t* end;
};

struct GgufTensor {
  char name[64];
  TensorType type;
  std::uint32_t rank;
  std::uint64_t shape[gguf_max_rank];  // row-major: outermost first; 1 beyond the rank
  std::uint64_t bytes;
  const std::uint8_t* data;            // 32-byte aligned
};

class GgufFile {
 public:
  GgufFile() = default;
  ~GgufFile() { close(); }
  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;

  bool open(const char* path, Error* error);                                 // maps the file
  bool copy(const std::uint8_t* data, std::size_t size, Error* error);       // takes a copy
  void release_pages() const;   // gives a mapped file's memory back; the bytes stay readable
  void close();

  const GgufKey* find_key(const char* name) const;
  const GgufTensor* find_tensor(const char* name) const;

  const GgufKey* keys = nullptr;
  const GgufTensor* tensors = nullptr;
  std::size_t n_keys = 0, n_tensors = 0;

 private:
  bool parse(Error* error);

  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  bool mapped_ = false;
  void* tables_ = nullptr;
};

// One tensor to write. shape is row-major.
struct TensorOut {
  const char* name;
  TensorType type;
  std::uint32_t rank;
  std::uint64_t shape[gguf_max_rank];
  const void* data;
};

// Collects a container's bytes, then writes them in one go. A failed allocation is remembered and reported by save.
class GgufWriter {
 public:
  GgufWriter() = default;
  ~GgufWriter();
  GgufWriter(const GgufWriter&) = delete;
  GgufWriter& operator=(const GgufWriter&) = delete;

  void begin(std::uint64_t n_keys, std::uint64_t n_tensors);
  void copy_key(const GgufKey& key);
  void key_u32(const char* name, std::uint32_t value);
  void key_f32(const char* name, float value);
  void key_string(const char* name, const char* value);
  void tensors(const TensorOut* list, std::size_t count);   // after all the keys, once

  // Temporary file in the same folder, fsync, rename, fsync of the folder: a reader sees the old bytes or the new ones.
  bool save(const char* path, Error* error) const;

 private:
  void bytes(const void* data, std::size_t n);
  void string(const char* text);
  void pad();

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0, capacity_ = 0;
  bool ok_ = true;
};

std::uint64_t tensor_item_bytes(TensorType type);

}  // namespace sanderling
