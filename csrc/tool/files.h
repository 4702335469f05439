// File operations that survive a power cut: whatever is replaced is the old file or the new one, and on the disk when they return.
#pragma once
#include <sys/stat.h>

#include <string>
#include <string_view>

#include "bundle/archive.h"

namespace sanderling::tool {

// False and an error (io) that says what was wanted, with errno's reason.
bool io_error(Error* error, const char* wanted, const std::string& path);

// A small text file; `most` bytes at most. False and an error (io, data).
bool read_text(const std::string& path, std::size_t most, std::string* text, Error* error);
bool is_file(const std::string& path);
bool is_folder(const std::string& path);

// fsync of a folder: its entries are on the disk.
bool sync_folder(const std::string& path, Error* error);
// Writes beside, syncs, renames, syncs the folder.
bool replace_file(const std::string& path, std::string_view text, mode_t mode, Error* error);
bool replace_by_copy(const std::string& from, const std::string& path, mode_t mode, Error* error);
bool replace_link(const std::string& target, const std::string& path, Error* error);
// Removes a file, if it is there, and syncs the folder.
bool remove_file(const std::string& path, Error* error);
// A folder that others may read, and its entry on the disk; one that is there is fine.
bool make_folder(const std::string& path, Error* error);
// Removes a folder's files, the one named `first` before all others and for good.
bool empty_folder(const std::string& path, const char* first, Error* error);

class FileSource : public Source {
 public:
  ~FileSource() override;
  bool open(const std::string& path, Error* error);
  long read(void* to, std::size_t size) override;

 private:
  int fd_ = -1;
};

// A new file, its bytes on the disk after close().
class NewFile {
 public:
  ~NewFile();
  bool create(const std::string& path, mode_t mode, Error* error);
  bool add(const void* bytes, std::size_t size, Error* error);
  bool close(Error* error);

 private:
  int fd_ = -1;
  std::string path_;
};

// Held until destruction; waits for another holder.
class Lock {
 public:
  ~Lock();
  bool take(const std::string& path, Error* error);

 private:
  int fd_ = -1;
};

}  // namespace sanderling::tool
