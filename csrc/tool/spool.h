// Alarms on disk until they are delivered: at least once, in order, each with a number that no other has. docs/live.md has the format,
// which python/sanderling/live/spool.py reads and writes too.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "model/engine.h"

namespace sanderling::tool {

class Spool {
 public:
  ~Spool();
  // Makes or opens the folder for this process alone; what a power cut tore is cut off.
  bool open(const std::string& folder, std::uint64_t max_bytes, Error* error);
  bool is_open() const { return lock_ >= 0; }
  const std::string& id() const { return id_; }        // random, of the folder
  std::uint64_t next() const { return last_ + 1; }     // the number of the next record
  // A JSON object on one line that has the number next(); durable when it returns. When the folder is full the oldest go.
  bool append(std::string_view line, Error* error);
  // The oldest record that is not delivered; false when there is none.
  bool oldest(std::string* line, std::uint64_t* number);
  bool acknowledge(std::uint64_t number, Error* error);
  std::uint64_t pending() const;
  std::uint64_t dropped() const { return dropped_; }   // undelivered records that had to go, by this process
  std::uint64_t damaged() const { return damaged_; }   // lines that could not be read when it was opened

 private:
  struct Segment {
    std::uint64_t first = 0, size = 0;
  };
  std::string path(const Segment& segment) const;
  bool read_id(Error* error);
  bool recover(Error* error);
  bool recover_segment(Segment* segment, bool is_last, Error* error);
  bool start_segment(Error* error);
  void drop_oldest();
  bool store(const char* name, const std::string& text, Error* error);

  std::string folder_, id_;
  int lock_ = -1, file_ = -1;  // file_: the last segment
  std::uint64_t max_bytes_ = 0, total_ = 0, last_ = 0, delivered_ = 0, dropped_ = 0, damaged_ = 0;
  std::deque<Segment> segments_;
  std::uint64_t cursor_segment_ = 0, cursor_at_ = 0;  // where oldest() looks first
};

}  // namespace sanderling::tool
