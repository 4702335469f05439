#include "tool/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "core/error.h"

namespace sanderling::tool {
namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

bool rename_over(const std::string& from, const std::string& to, Error* error) {
  if (::rename(from.c_str(), to.c_str()) == 0) return sync_folder(folder_of(to), error);
  io_error(error, "to rename it", to);
  ::unlink(from.c_str());
  return false;
}

}  // namespace

bool io_error(Error* error, const char* wanted, const std::string& path) {
  return fail(error, Status::io, "%.300s: expected %s, found: %s; check the path, rights and space", path.c_str(), wanted, std::strerror(errno));
}

bool read_text(const std::string& path, std::size_t most, std::string* text, Error* error) {
  FileSource source;
  if (!source.open(path, error)) return false;
  text->resize(most + 1);
  const long got = source.read(text->data(), text->size());
  if (got < 0) return io_error(error, "to read it", path);
  text->resize(static_cast<std::size_t>(got));
  if (text->size() <= most) return true;
  return fail(error, Status::data, "%.300s: expected at most %zu bytes, found more; replace the file", path.c_str(), most);
}

bool is_file(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool is_folder(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool sync_folder(const std::string& path, Error* error) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // Some file systems cannot sync a folder (EINVAL): nothing more can be done there.
  const bool good = fd >= 0 && (::fsync(fd) == 0 || errno == EINVAL);
  if (!good) io_error(error, "to sync the folder", path);
  if (fd >= 0) ::close(fd);
  return good;
}

bool replace_file(const std::string& path, std::string_view text, mode_t mode, Error* error) {
  const std::string beside = path + ".tmp";
  ::unlink(beside.c_str());
  NewFile file;
  if (file.create(beside, mode, error) && file.add(text.data(), text.size(), error) && file.close(error))
    return rename_over(beside, path, error);
  ::unlink(beside.c_str());
  return false;
}

bool replace_by_copy(const std::string& from, const std::string& path, mode_t mode, Error* error) {
  const std::string beside = path + ".tmp";
  ::unlink(beside.c_str());
  FileSource source;
  NewFile file;
  bool good = source.open(from, error) && file.create(beside, mode, error);
  std::vector<char> buffer(std::size_t{1} << 16);
  for (long got = 1; good && got > 0;) {
    got = source.read(buffer.data(), buffer.size());
    good = got < 0 ? io_error(error, "to read it", from) : file.add(buffer.data(), static_cast<std::size_t>(got), error);
  }
  if (good && file.close(error)) return rename_over(beside, path, error);
  ::unlink(beside.c_str());
  return false;
}

bool replace_link(const std::string& target, const std::string& path, Error* error) {
  const std::string beside = path + ".tmp";
  ::unlink(beside.c_str());
  if (::symlink(target.c_str(), beside.c_str()) != 0) return io_error(error, "to make a link", beside);
  return rename_over(beside, path, error);
}

bool remove_file(const std::string& path, Error* error) {
  if (::unlink(path.c_str()) != 0) return errno == ENOENT || io_error(error, "to remove it", path);
  return sync_folder(folder_of(path), error);
}

bool make_folder(const std::string& path, Error* error) {
  if (::mkdir(path.c_str(), 0755) == 0) {
    // Whatever the caller's umask is: the detector runs as another user.
    if (::chmod(path.c_str(), 0755) != 0) return io_error(error, "to open the folder to its readers", path);
    return sync_folder(folder_of(path), error);
  }
  return (errno == EEXIST && is_folder(path)) || io_error(error, "to make the folder", path);
}

bool empty_folder(const std::string& path, const char* first, Error* error) {
  if (!remove_file(path + "/" + first, error)) return false;
  DIR* const folder = ::opendir(path.c_str());
  if (!folder) return io_error(error, "to read the folder", path);
  bool good = true;
  while (const dirent* const entry = ::readdir(folder)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string whole = path + "/" + name;
    if (::unlink(whole.c_str()) != 0) good = io_error(error, "to remove it", whole);
  }
  ::closedir(folder);
  return good && sync_folder(path, error);
}

FileSource::~FileSource() {
  if (fd_ >= 0) ::close(fd_);
}

bool FileSource::open(const std::string& path, Error* error) {
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) return io_error(error, "a readable file", path);
  if (!is_folder(path)) return true;
  errno = EISDIR;
  return io_error(error, "a readable file", path);
}

long FileSource::read(void* to, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(fd_, static_cast<char*>(to) + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return static_cast<long>(done);
}

NewFile::~NewFile() {
  if (fd_ >= 0) ::close(fd_);
}

bool NewFile::create(const std::string& path, mode_t mode, Error* error) {
  path_ = path;
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd_ < 0 || ::fchmod(fd_, mode) != 0) return io_error(error, "to create it", path);
  return true;
}

bool NewFile::add(const void* bytes, std::size_t size, Error* error) {
  const char* at = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t put = ::write(fd_, at, size);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return io_error(error, "to write", path_);
    at += put;
    size -= static_cast<std::size_t>(put);
  }
  return true;
}

bool NewFile::close(Error* error) {
  const bool synced = ::fsync(fd_) == 0;
  if (!synced) io_error(error, "to sync", path_);
  const bool closed = ::close(fd_) == 0;
  if (synced && !closed) io_error(error, "to close", path_);
  fd_ = -1;
  return synced && closed;
}

Lock::~Lock() {
  if (fd_ >= 0) ::close(fd_);
}

bool Lock::take(const std::string& path, Error* error) {
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd_ < 0) return io_error(error, "to open the lock", path);
  while (::flock(fd_, LOCK_EX) != 0)
    if (errno != EINTR) return io_error(error, "to take the lock", path);
  return true;
}

}  // namespace sanderling::tool
