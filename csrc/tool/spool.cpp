#include "tool/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "tool/system.h"

namespace sanderling::tool {
namespace {

constexpr std::size_t kMaxRecord = std::size_t{1} << 15;  // bytes of a line, its checksum included
constexpr std::uint64_t kSegments = 8;                    // what goes when the folder is full: an eighth
constexpr std::size_t kChecksum = 9;                      // "cccccccc "
constexpr char kStart[] = "{\"seq\": ";

// CRC-32 as zlib computes it.
std::uint32_t checksum(std::string_view text) {
  std::uint32_t crc = ~0u;
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

// The record's number, or 0 for a line that isn't one.
std::uint64_t number_of(std::string_view line) {
  char wanted[16];
  if (line.size() < kChecksum + sizeof kStart) return 0;
  const std::string_view json = line.substr(kChecksum);
  std::snprintf(wanted, sizeof wanted, "%08x ", checksum(json));
  if (line.substr(0, kChecksum) != wanted || json.substr(0, sizeof kStart - 1) != kStart) return 0;
  return std::strtoull(std::string(json.substr(sizeof kStart - 1, 20)).c_str(), nullptr, 10);
}

// The line at `at` of a file, without its end, and where the next one begins; false at the end, or where no line end comes.
bool read_line(int fd, std::uint64_t at, std::string* line, std::uint64_t* next) {
  line->resize(kMaxRecord);
  const ssize_t got = ::pread(fd, line->data(), line->size(), static_cast<off_t>(at));
  line->resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  const std::size_t end = line->find('\n');
  const bool torn = end == std::string::npos;
  if (torn && line->size() < kMaxRecord) return false;
  line->resize(torn ? line->size() : end);
  *next = at + line->size() + !torn;
  return true;
}

bool sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool good = fd >= 0 && ::fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  return good;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

std::string read_small(const std::string& path) {
  char text[64] = "";
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  const ssize_t got = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  std::string found(text, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  while (!found.empty() && found.back() == '\n') found.pop_back();
  return found;
}

bool is_id(const std::string& text) { return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string::npos; }

}  // namespace

Spool::~Spool() {
  if (file_ >= 0) ::close(file_);
  if (lock_ >= 0) ::close(lock_);
}

bool Spool::open(const std::string& folder, std::uint64_t max_bytes, Error* error) {
  folder_ = folder;
  max_bytes_ = max_bytes;
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return system_error(error, Status::io, "to make the spool", folder), false;
  lock_ = ::open((folder + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) return system_error(error, Status::io, "a folder to write to", folder), false;
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0)
    return system_error(error, Status::io, "a spool that no other process uses", folder), false;
  return read_id(error) && recover(error);
}

bool Spool::read_id(Error* error) {
  id_ = read_small(folder_ + "/id");
  if (is_id(id_)) return true;
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) random = static_cast<std::uint64_t>(monotonic_ns());
  char text[32];
  std::snprintf(text, sizeof text, "%016" PRIx64, random);
  id_ = text;
  return store("id", id_, error);
}

bool Spool::recover(Error* error) {
  delivered_ = std::strtoull(read_small(folder_ + "/delivered").c_str(), nullptr, 10);
  DIR* const opened = ::opendir(folder_.c_str());
  if (opened == nullptr) return system_error(error, Status::io, "to read the spool", folder_), false;
  while (const dirent* entry = ::readdir(opened)) {
    const std::string_view name = entry->d_name;
    if (name.size() == 26 && name.find_first_not_of("0123456789") == 20 && name.substr(20) == ".jsonl")
      segments_.push_back({std::strtoull(entry->d_name, nullptr, 10), 0});
  }
  ::closedir(opened);
  std::sort(segments_.begin(), segments_.end(), [](const Segment& a, const Segment& b) { return a.first < b.first; });
  for (Segment& segment : segments_) {
    if (!recover_segment(&segment, &segment == &segments_.back(), error)) return false;
    total_ += segment.size;
  }
  last_ = std::max(last_, delivered_);
  if (segments_.empty()) return true;
  file_ = ::open(path(segments_.back()).c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file_ < 0) return system_error(error, Status::io, "to open it", path(segments_.back())), false;
  return true;
}

bool Spool::recover_segment(Segment* segment, bool is_last, Error* error) {
  const std::string name = path(*segment);
  const int fd = ::open(name.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return system_error(error, Status::io, "to open it", name), false;
  std::uint64_t at = 0, next = 0, good = 0, bad = 0;
  std::string line;
  for (; read_line(fd, at, &line, &next); at = next) {
    const std::uint64_t number = number_of(line);
    const bool usable = number > last_;
    if (usable) last_ = number, good = next;
    bad += !usable;
  }
  struct stat info = {};
  const bool known = ::fstat(fd, &info) == 0;
  const auto size = static_cast<std::uint64_t>(info.st_size);
  damaged_ += bad + (at < size);
  bool fine = known;
  // Only the end can be torn by a power cut; what comes next must not be glued to it.
  if (fine && is_last && good < size) fine = ::ftruncate(fd, static_cast<off_t>(good)) == 0 && ::fsync(fd) == 0;
  segment->size = is_last ? good : size;
  if (!fine) system_error(error, Status::io, "to repair it", name);
  ::close(fd);
  return fine;
}

std::string Spool::path(const Segment& segment) const {
  char name[40];
  std::snprintf(name, sizeof name, "/%020" PRIu64 ".jsonl", segment.first);
  return folder_ + name;
}

bool Spool::start_segment(Error* error) {
  const Segment segment{next(), 0};
  const int fd = ::open(path(segment).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0 || !sync_folder(folder_)) {
    system_error(error, Status::io, "to create it", path(segment));
    if (fd >= 0) ::close(fd);
    return false;
  }
  if (file_ >= 0) ::close(file_);
  file_ = fd;
  segments_.push_back(segment);
  return true;
}

void Spool::drop_oldest() {
  const Segment gone = segments_.front();
  segments_.pop_front();
  const std::uint64_t end = segments_.empty() ? next() : segments_.front().first;
  const std::uint64_t from = std::max(gone.first, delivered_ + 1);
  if (end > from) dropped_ += end - from;
  ::unlink(path(gone).c_str());
  total_ -= gone.size;
  if (!segments_.empty()) return;
  ::close(file_);
  file_ = -1;
}

bool Spool::append(std::string_view line, Error* error) {
  while (!line.empty() && line.back() == '\n') line.remove_suffix(1);
  char head[16];
  std::snprintf(head, sizeof head, "%08x ", checksum(line));
  const std::string record = head + std::string(line) + "\n";
  if (record.size() > kMaxRecord) {
    errno = EMSGSIZE;
    return system_error(error, Status::io, "a record that fits", folder_), false;
  }
  for (bool again = true;; again = false) {
    while (!segments_.empty() && total_ + record.size() > max_bytes_) drop_oldest();
    const bool full = !segments_.empty() && segments_.back().size > 0 && segments_.back().size + record.size() > max_bytes_ / kSegments;
    if ((segments_.empty() || full) && !start_segment(error)) return false;
    Segment& segment = segments_.back();
    if (write_all(file_, record) && ::fdatasync(file_) == 0) {
      segment.size += record.size();
      total_ += record.size();
      ++last_;
      return true;
    }
    system_error(error, Status::io, "to write", path(segment));
    const bool no_space = errno == ENOSPC;
    if (::ftruncate(file_, static_cast<off_t>(segment.size)) != 0 || !no_space || !again || segments_.size() < 2) return false;
    drop_oldest();  // a full disk: what is new counts for more
  }
}

bool Spool::oldest(std::string* line, std::uint64_t* number) {
  for (const Segment& segment : segments_) {
    if (segment.first < cursor_segment_) continue;
    const int fd = ::open(path(segment).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    std::uint64_t at = segment.first == cursor_segment_ ? cursor_at_ : 0, next = 0;
    bool found = false;
    for (; !found && at < segment.size && read_line(fd, at, line, &next); at = found ? at : next) {
      *number = number_of(*line);
      found = *number > delivered_;
    }
    ::close(fd);
    cursor_segment_ = segment.first;
    cursor_at_ = at;
    if (found) return line->erase(0, kChecksum), true;
  }
  delivered_ = last_;  // what is left, if anything, can't be read
  return false;
}

bool Spool::acknowledge(std::uint64_t number, Error* error) {
  delivered_ = number;
  if (!store("delivered", std::to_string(number), error)) return false;
  while (segments_.size() > 1 && segments_[1].first <= delivered_ + 1) drop_oldest();
  return true;
}

std::uint64_t Spool::pending() const {
  if (segments_.empty()) return 0;
  const std::uint64_t before = std::max(delivered_, segments_.front().first - 1);
  return last_ > before ? last_ - before : 0;
}

// A temporary file, fsync and rename: the old text or the new one, whenever the power goes.
bool Spool::store(const char* name, const std::string& text, Error* error) {
  const std::string target = folder_ + "/" + name, temporary = target + ".new";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool good = fd >= 0 && write_all(fd, text + "\n") && ::fsync(fd) == 0;
  if (!good) system_error(error, Status::io, "to write", temporary);
  if (fd >= 0) ::close(fd);
  if (good && (::rename(temporary.c_str(), target.c_str()) != 0 || !sync_folder(folder_)))
    good = false, system_error(error, Status::io, "to replace it", target);
  return good;
}

}  // namespace sanderling::tool
