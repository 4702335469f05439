// A serial port: raw bytes, 8N1, no flow control.
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tool/source.h"

namespace sanderling::tool {
namespace {

constexpr struct {
  unsigned baud;
  speed_t code;
} kSpeeds[] = {
    {1200, B1200},       {2400, B2400},       {4800, B4800},       {9600, B9600},       {19200, B19200},     {38400, B38400},
    {57600, B57600},     {115200, B115200},   {230400, B230400},   {460800, B460800},   {500000, B500000},   {576000, B576000},
    {921600, B921600},   {1000000, B1000000}, {1152000, B1152000}, {1500000, B1500000}, {2000000, B2000000}, {2500000, B2500000},
    {3000000, B3000000}, {3500000, B3500000}, {4000000, B4000000},
};

class SerialSource : public Source {
 public:
  SerialSource(const std::string& path, speed_t speed, bool whole) : path_(path), speed_(speed), whole_(whole) {}

  bool open(std::string* why) override {
    close();
    fd_ = ::open(path_.c_str(), O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    termios settings = {};
    if (fd_ < 0 || ::tcgetattr(fd_, &settings) != 0) return *why = std::strerror(errno), close(), false;
    ::cfmakeraw(&settings);
    // Without HUPCL, closing leaves DTR alone: a board that resets on DTR runs on while we restart.
    settings.c_cflag = (settings.c_cflag & ~(CSTOPB | PARENB | CRTSCTS | HUPCL)) | CLOCAL | CREAD;
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    if (::cfsetspeed(&settings, speed_) != 0 || ::tcsetattr(fd_, TCSANOW, &settings) != 0)
      return *why = std::strerror(errno), close(), false;
    skipping_ = !whole_;
    return true;
  }

  Got read(std::string* text, std::string* why) override {
    const std::size_t before = text->size();
    const Got got = Source::read(text, why);
    if (got == Got::lost && why->empty()) *why = "hung up";
    if (got != Got::text || !skipping_) return got;
    // A port opened in the middle of a line would give a wrong number.
    const std::size_t end = text->find('\n', before);
    skipping_ = end == std::string::npos;
    text->erase(before, skipping_ ? std::string::npos : end + 1 - before);
    return text->size() > before ? Got::text : Got::nothing;
  }

 private:
  std::string path_;
  speed_t speed_;
  bool whole_, skipping_ = false;
};

}  // namespace

std::unique_ptr<Source> make_serial(const SourceSpec& spec, Error* error) {
  double baud = 0.0;
  if (!positive_setting(spec, "baud", "115200", &baud, error)) return nullptr;
  const std::string first = spec.setting("first", "drop");
  error->status = Status::argument;
  if (first != "drop" && first != "keep") {
    std::snprintf(error->message, sizeof error->message, "--input: expected first=drop or first=keep, found '%.40s'; see docs/live.md",
                  first.c_str());
    return nullptr;
  }
  for (const auto& speed : kSpeeds)
    if (speed.baud == baud) return std::make_unique<SerialSource>(spec.target, speed.code, first == "keep");
  std::snprintf(error->message, sizeof error->message,
                "--input: expected one of the usual rates from 1200 to 4000000 as baud, found %.10g; set the sender to one", baud);
  return nullptr;
}

}  // namespace sanderling::tool
