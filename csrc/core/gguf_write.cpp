#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checked.h"
#include "gguf.h"

namespace sanderling {

GgufWriter::~GgufWriter() { std::free(data_); }

void GgufWriter::bytes(const void* data, std::size_t n) {
  std::uint64_t end = 0;
  if (!ok_ || n == 0) return;
  if (!checked_add(size_, n, &end) || end > SIZE_MAX / 4) {
    ok_ = false;
    return;
  }
  if (end > capacity_) {
    const std::size_t wanted = static_cast<std::size_t>(end) * 2;
    auto* grown = static_cast<std::uint8_t*>(std::realloc(data_, wanted));
    if (grown == nullptr) {
      ok_ = false;
      return;
    }
    data_ = grown;
    capacity_ = wanted;
  }
  std::memcpy(data_ + size_, data, n);
  size_ += n;
}

void GgufWriter::string(const char* text) {
  const std::uint64_t n = std::strlen(text);
  bytes(&n, sizeof n);
  bytes(text, n);
}

void GgufWriter::pad() {
  static const std::uint8_t zeros[gguf_alignment] = {};
  bytes(zeros, static_cast<std::size_t>((gguf_alignment - size_ % gguf_alignment) % gguf_alignment));
}

void GgufWriter::begin(std::uint64_t n_keys, std::uint64_t n_tensors) {
  const std::uint32_t version = 3;
  bytes("GGUF", 4);
  bytes(&version, sizeof version);
  bytes(&n_tensors, sizeof n_tensors);
  bytes(&n_keys, sizeof n_keys);
}

void GgufWriter::copy_key(const GgufKey& key) { bytes(key.begin, static_cast<std::size_t>(key.end - key.begin)); }

void GgufWriter::key_u32(const char* name, std::uint32_t value) {
  const auto type = GgufType::u32;
  string(name);
  bytes(&type, sizeof type);
  bytes(&value, sizeof value);
}

void GgufWriter::key_f32(const char* name, float value) {
  const auto type = GgufType::f32;
  string(name);
  bytes(&type, sizeof type);
  bytes(&value, sizeof value);
}

void GgufWriter::key_string(const char* name, const char* value) {
  const auto type = GgufType::string;
  string(name);
  bytes(&type, sizeof type);
  string(value);
}

void GgufWriter::tensors(const TensorOut* list, std::size_t count) {
  std::uint64_t offset = 0;
  const auto data_bytes = [](const TensorOut& tensor) {
    std::uint64_t n = tensor_item_bytes(tensor.type);
    for (std::uint32_t i = 0; i < tensor.rank; ++i) n *= tensor.shape[i];
    return n;
  };
  for (std::size_t i = 0; i < count; ++i) {
    string(list[i].name);
    bytes(&list[i].rank, sizeof list[i].rank);
    for (std::uint32_t d = list[i].rank; d > 0; --d) bytes(&list[i].shape[d - 1], sizeof list[i].shape[0]);
    bytes(&list[i].type, sizeof list[i].type);
    bytes(&offset, sizeof offset);
    offset += (data_bytes(list[i]) + gguf_alignment - 1) / gguf_alignment * gguf_alignment;
  }
  pad();
  for (std::size_t i = 0; i < count; ++i) {
    bytes(list[i].data, static_cast<std::size_t>(data_bytes(list[i])));
    pad();
  }
}

namespace {

bool write_all(int fd, const std::uint8_t* data, std::size_t n) {
  while (n > 0) {
    const ssize_t done = ::write(fd, data, n);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    data += done;
    n -= static_cast<std::size_t>(done);
  }
  return true;
}

// The folder's own entry must reach the disk too. Some file systems cannot sync a folder (EINVAL): nothing more can be done there.
bool sync_folder(const char* path, char* buffer) {
  const char* slash = std::strrchr(path, '/');
  const std::size_t n = slash == nullptr ? 0 : static_cast<std::size_t>(slash - path);
  if (slash == nullptr) std::strcpy(buffer, ".");
  else if (n == 0) std::strcpy(buffer, "/");
  else {
    std::memcpy(buffer, path, n);
    buffer[n] = 0;
  }
  const int fd = ::open(buffer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool ok = ::fsync(fd) == 0 || errno == EINVAL;
  ::close(fd);
  return ok;
}

}  // namespace

bool GgufWriter::save(const char* path, Error* error) const {
  if (!ok_) return fail(error, Status::memory, "expected memory to write the model, found none; free some");
  // The rename would put a file in the place of a device: -o /dev/null by root.
  struct stat status {};
  if (::stat(path, &status) == 0 && !S_ISREG(status.st_mode))
    return fail(error, Status::io, "expected a file's name to write the model to, found a folder or device at %s; choose another name", path);
  static std::atomic<unsigned> saves{0};  // threads may save to one path
  const std::size_t room = std::strlen(path) + 64;
  char* temporary = static_cast<char*>(std::malloc(room));
  if (temporary == nullptr) return fail(error, Status::memory, "expected memory to write the model, found none; free some");
  std::snprintf(temporary, room, "%s.tmp.%ld.%u", path, static_cast<long>(::getpid()), saves.fetch_add(1));
  constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  int fd = ::open(temporary, flags, 0644);
  if (fd < 0 && errno == EEXIST) {
    // Left behind by a process that died under the same number.
    ::unlink(temporary);
    fd = ::open(temporary, flags, 0644);
  }
  bool ok = fd >= 0;
  int reason = errno;
  if (ok) {
    ok = write_all(fd, data_, size_) && ::fsync(fd) == 0;
    reason = errno;
    ok = ::close(fd) == 0 && ok;
    if (ok) {
      ok = ::rename(temporary, path) == 0;
      reason = errno;
    }
    if (!ok) ::unlink(temporary);
  }
  if (ok) {
    ok = sync_folder(path, temporary);
    reason = errno;
  }
  std::free(temporary);
  return ok || fail(error, Status::io, "expected to write %s, found: %s; check the folder and its free space", path, std::strerror(reason));
}

}  // namespace sanderling
