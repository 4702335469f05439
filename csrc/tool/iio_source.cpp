// A Linux IIO device as a source: polled through its attributes, or read from its buffer.
#include <fcntl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "io/number.h"
#include "tool/iio.h"
#include "tool/source.h"

namespace sanderling::tool {
namespace {


struct IioPlan {
  std::string root, target, trigger, length;
  std::vector<std::string> channels;
  double rate = 0.0;  // 0: the device's sampling_frequency
};

// Shared by the two ways: the device's folder, its channels, and values as CSV text.
class IioSource : public Source {
 public:
  explicit IioSource(const IioPlan& plan) : plan_(plan) {}

 protected:
  bool find(bool scan, std::string* why) {
    close();
    const std::string devices = plan_.root + "/sys/bus/iio/devices";
    folder_ = find_iio(devices, plan_.target);
    if (folder_.empty()) return *why = "no device " + plan_.target + " in " + devices, false;
    if (!list_channels(folder_, plan_.channels, scan, &channels_, why)) return false;
    header_.clear();
    for (const IioChannel& channel : channels_) header_ += (header_.empty() ? "" : ",") + channel.name;
    header_ += '\n';
    return true;
  }

  void add(std::string* text, std::size_t channel, double value) const {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value);
    if (std::isnan(value))
      *text += "nan";
    else
      text->append(digits, end.ptr);
    *text += channel + 1 < channels_.size() ? ',' : '\n';
  }

  const IioPlan plan_;
  std::string folder_, header_;  // the header goes out before the first sample of a connection
  std::vector<IioChannel> channels_;
};

// One sample a tick of a timer. A tick that finds the program busy gives no sample.
class PolledIio : public IioSource {
 public:
  using IioSource::IioSource;

  bool open(std::string* why) override {
    if (!find(false, why)) return false;
    double rate = plan_.rate;
    std::string text;
    if (rate == 0.0) {
      const std::string first = channels_.front().name;
      const std::string type = first.substr(0, first.find_first_of("0123456789_"));
      for (const std::string& file : {std::string("sampling_frequency"), "in_" + type + "_sampling_frequency"})
        if (rate == 0.0 && read_attribute(folder_ + "/" + file, &text) && parse_number(trim(text), &rate) != Cell::number) rate = 0.0;
    }
    if (!(rate > 0.0 && rate <= 1e5)) return *why = "no sampling_frequency of at most 100 kHz; add rate=HZ", false;
    fd_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    const double step = 1.0 / rate;
    itimerspec every = {};
    every.it_interval.tv_sec = static_cast<time_t>(step);
    every.it_interval.tv_nsec = std::max(1L, static_cast<long>((step - std::floor(step)) * 1e9));
    every.it_value = every.it_interval;
    if (fd_ < 0 || ::timerfd_settime(fd_, 0, &every, nullptr) != 0) return *why = std::strerror(errno), close(), false;
    return true;
  }

  Got read(std::string* text, std::string* why) override {
    std::uint64_t ticks = 0;
    if (::read(fd_, &ticks, sizeof ticks) != sizeof ticks) return Got::nothing;
    std::string line = header_, value;
    for (std::size_t i = 0; i < channels_.size(); ++i) {
      const IioChannel& channel = channels_[i];
      double raw = NAN;
      const bool read = read_attribute(folder_ + "/" + channel.file, &value);
      // A device that is gone says so; anything else is one sample that its bus has lost.
      if (!read && (errno == ENOENT || errno == ENODEV || errno == ENXIO)) return *why = std::strerror(errno), Got::lost;
      if (!read || parse_number(trim(value), &raw) != Cell::number) raw = NAN;
      add(&line, i, (raw + channel.offset) * channel.scale);
    }
    *text += line;
    header_.clear();
    return Got::text;
  }
};

// The scans that the kernel's buffer hands out.
class BufferedIio : public IioSource {
 public:
  using IioSource::IioSource;
  ~BufferedIio() override { stop(); }

  bool open(std::string* why) override {
    stop();
    if (!find(true, why) || !start(why)) return false;
    size_ = lay_out_scan(folder_, &channels_, why);
    if (size_ == 0) return false;
    const std::string device = plan_.root + "/dev/" + folder_.substr(folder_.rfind('/') + 1);
    fd_ = ::open(device.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd_ < 0) return *why = device + ": " + std::strerror(errno), stop(), false;
    return held_.clear(), true;
  }

  Got read(std::string* text, std::string* why) override {
    const Got got = Source::read(&held_, why);
    if (got == Got::lost && why->empty()) *why = "the buffer ended";
    if (got != Got::text) return got;
    std::size_t at = 0;
    if (held_.size() >= size_) *text += header_, header_.clear();
    for (; held_.size() - at >= size_; at += size_)
      for (std::size_t i = 0; i < channels_.size(); ++i)
        add(text, i, scan_value(channels_[i], reinterpret_cast<const unsigned char*>(held_.data()) + at));
    held_.erase(0, at);
    return at > 0 ? Got::text : Got::nothing;
  }

 private:
  // A buffer that runs already was set up by somebody else (a service without write access to sysfs): it is read as it is.
  bool start(std::string* why) {
    const std::string buffer = folder_ + "/buffer/";
    std::string enabled;
    if (read_attribute(buffer + "enable", &enabled) && enabled == "1") return true;
    const auto set = [&](const std::string& file, const std::string& value) {
      if (value.empty() || write_attribute(folder_ + "/" + file, value)) return true;
      return *why = folder_ + "/" + file + ": " + std::strerror(errno), false;
    };
    for (const IioChannel& channel : channels_)
      if (!set("scan_elements/in_" + channel.name + "_en", "1")) return false;
    if (!set("trigger/current_trigger", plan_.trigger) || !set("buffer/length", plan_.length)) return false;
    char rate[32] = "";
    if (plan_.rate > 0.0) std::snprintf(rate, sizeof rate, "%.10g", plan_.rate);
    return set("sampling_frequency", rate) && (ours_ = set("buffer/enable", "1"));
  }

  void stop() {
    close();
    if (ours_) write_attribute(folder_ + "/buffer/enable", "0");
    ours_ = false;
  }

  std::string held_;  // a scan that the last read cut
  std::size_t size_ = 0;
  bool ours_ = false;
};

}  // namespace

std::unique_ptr<Source> make_iio(const SourceSpec& spec, Error* error) {
  IioPlan plan;
  plan.target = spec.target;
  plan.root = spec.setting("root", "");
  plan.trigger = spec.setting("trigger", "");
  plan.length = spec.setting("length", "128");
  double length = 0.0;
  if (!positive_setting(spec, "length", "128", &length, error)) return nullptr;
  if (spec.find("rate") && !positive_setting(spec, "rate", "", &plan.rate, error)) return nullptr;
  const std::string list = spec.setting("channels", "");
  std::string_view rest = list;
  while (!rest.empty()) {
    const std::size_t plus = std::min(rest.find('+'), rest.size());
    if (plus > 0) plan.channels.emplace_back(rest.substr(0, plus));
    rest.remove_prefix(std::min(plus + 1, rest.size()));
  }
  const std::string mode = spec.setting("mode", "poll");
  if (mode == "poll") return std::make_unique<PolledIio>(plan);
  if (mode == "buffer") return std::make_unique<BufferedIio>(plan);
  error->status = Status::argument;
  std::snprintf(error->message, sizeof error->message, "--input: expected mode=poll or mode=buffer, found '%.40s'; see docs/live.md",
                mode.c_str());
  return nullptr;
}

}  // namespace sanderling::tool
