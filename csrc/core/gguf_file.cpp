#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gguf.h"
#include "memory.h"

namespace sanderling {

bool GgufFile::open(const char* path, Error* error) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(error, Status::io, "expected a readable model file at %s, found: %s; check the path", path, std::strerror(errno));
  struct stat status {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    return fail(error, Status::io, "expected a regular file at %s, found something else; give the model file itself", path);
  }
  if (status.st_size == 0) {
    ::close(fd);
    return fail(error, Status::model_format, "expected a GGUF file at %s, found an empty file; copy it again", path);
  }
  void* map = mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
  const int reason = errno;
  ::close(fd);
  if (map == MAP_FAILED) return fail(error, Status::io, "expected to map %s, found: %s; free memory", path, std::strerror(reason));
  data_ = static_cast<const std::uint8_t*>(map);
  size_ = static_cast<std::size_t>(status.st_size);
  mapped_ = true;
  return parse(error);
}

bool GgufFile::copy(const std::uint8_t* data, std::size_t size, Error* error) {
  if (data == nullptr || size == 0) return fail(error, Status::model_format, "expected a GGUF file, found no bytes; give the whole file");
  void* block = block_alloc(size);
  if (block == nullptr) return fail(error, Status::memory, "expected %zu bytes of memory, found less; free some", size);
  std::memcpy(block, data, size);
  data_ = static_cast<const std::uint8_t*>(block);
  size_ = size;
  return parse(error);
}

void GgufFile::release_pages() const {
  // What is needed again (model_save) comes back from the file; a refusal only costs memory.
  if (mapped_) madvise(const_cast<std::uint8_t*>(data_), size_, MADV_DONTNEED);
}

void GgufFile::close() {
  if (mapped_) munmap(const_cast<std::uint8_t*>(data_), size_);
  else block_free(const_cast<std::uint8_t*>(data_));
  block_free(tables_);
  data_ = nullptr;
  tables_ = nullptr;
  keys = nullptr;
  tensors = nullptr;
  size_ = n_keys = n_tensors = 0;
  mapped_ = false;
}

}  // namespace sanderling
