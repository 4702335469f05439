#include "tool/iio.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <memory>

#include "io/number.h"

namespace sanderling::tool {
namespace {

constexpr std::size_t kMaxChannels = 1024;

bool starts(std::string_view text, std::string_view head) { return text.substr(0, head.size()) == head; }
bool ends(std::string_view text, std::string_view tail) {
  return text.size() >= tail.size() && text.substr(text.size() - tail.size()) == tail;
}

std::vector<std::string> names_in(const std::string& folder) {
  struct CloseFolder {
    void operator()(DIR* d) const { ::closedir(d); }
  };
  std::vector<std::string> names;
  const std::unique_ptr<DIR, CloseFolder> opened(::opendir(folder.c_str()));
  if (!opened) return names;
  while (const dirent* entry = ::readdir(opened.get())) names.push_back(entry->d_name);
  std::sort(names.begin(), names.end());
  return names;
}

bool read_number(const std::string& path, double* number) {
  std::string text;
  return read_attribute(path, &text) && parse_number(trim(text), number) == Cell::number && std::isfinite(*number);
}

// A scale or offset may belong to the channel, its type or the device; the nearest counts.
void read_shared(const std::string& folder, const std::string& name, const char* what, double* number) {
  const std::string type = name.substr(0, name.find_first_of("0123456789_"));
  std::string undigited;
  for (const char c : name)
    if (c < '0' || c > '9') undigited += c;
  const std::string tail = std::string("_") + what;
  for (const std::string& file : {"in_" + name + tail, "in_" + undigited + tail, "in_" + type + tail, "in" + tail, std::string(what)})
    if (read_number(folder + "/" + file, number)) return;
}

bool read_layout(const std::string& scan, IioChannel* channel) {
  double index = 0.0;
  std::string type;
  if (!read_number(scan + "/in_" + channel->name + "_index", &index) || index < 0.0 || index > 65535.0) return false;
  channel->index = static_cast<unsigned>(index);
  return read_attribute(scan + "/in_" + channel->name + "_type", &type) && parse_scan_type(type, channel);
}

}  // namespace

bool read_attribute(const std::string& path, std::string* text) {
  char buffer[4096];
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  const int error = errno;
  ::close(fd);
  errno = error;
  if (got < 0) return false;
  text->assign(buffer, static_cast<std::size_t>(got));
  while (!text->empty() && (text->back() == '\n' || text->back() == ' ' || text->back() == '\0')) text->pop_back();
  return true;
}

bool write_attribute(const std::string& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (fd < 0) return false;
  const bool good = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  ::close(fd);
  errno = error;
  return good;
}

std::string find_iio(const std::string& devices, const std::string& target) {
  for (const std::string& entry : names_in(devices)) {
    std::string name;
    const std::string folder = devices + "/" + entry;
    if (starts(entry, "iio:device") && (entry == target || (read_attribute(folder + "/name", &name) && name == target))) return folder;
  }
  return "";
}

bool list_channels(const std::string& folder, const std::vector<std::string>& wanted, bool scan, std::vector<IioChannel>* channels,
                   std::string* why) {
  channels->clear();
  const std::string place = scan ? folder + "/scan_elements" : folder;
  const std::vector<std::string> files = names_in(place);
  for (const char* const tail : {"_raw", "_input"}) {
    for (const std::string& file : files) {
      const std::string_view end = scan ? "_en" : tail;
      if (!starts(file, "in_") || !ends(file, end) || file.size() <= 3 + end.size()) continue;
      IioChannel channel;
      channel.name = file.substr(3, file.size() - 3 - end.size());
      channel.file = file;
      const bool known = std::any_of(channels->begin(), channels->end(), [&](const IioChannel& c) { return c.name == channel.name; });
      if (!known && channel.name != "timestamp") channels->push_back(channel);
    }
  }
  std::vector<std::string> order = wanted;
  if (order.empty()) {
    for (const IioChannel& channel : *channels) order.push_back(channel.name);
    std::sort(order.begin(), order.end());
  }
  std::vector<IioChannel> chosen;
  for (const std::string& name : order) {
    const auto found = std::find_if(channels->begin(), channels->end(), [&](const IioChannel& c) { return c.name == name; });
    if (found == channels->end()) return *why = "no channel " + name + " in " + place, false;
    chosen.push_back(*found);
  }
  if (chosen.empty() || chosen.size() > kMaxChannels) return *why = "no usable channels in " + place, false;
  for (IioChannel& channel : chosen) {
    if (scan && !read_layout(place, &channel)) return *why = "no usable type and index of " + channel.name + " in " + place, false;
    if (!scan && ends(channel.file, "_input")) continue;
    read_shared(folder, channel.name, "scale", &channel.scale);
    read_shared(folder, channel.name, "offset", &channel.offset);
  }
  return *channels = chosen, true;
}

bool parse_scan_type(std::string_view type, IioChannel* channel) {
  std::string_view rest = trim(type);
  const auto letter = [&](std::string_view allowed, char* found) {
    if (rest.empty() || allowed.find(rest[0]) == std::string_view::npos) return false;
    *found = rest[0];
    return rest.remove_prefix(1), true;
  };
  const auto word = [&](std::string_view wanted) { return starts(rest, wanted) && (rest.remove_prefix(wanted.size()), true); };
  const auto number = [&](unsigned* found) {
    const auto end = std::from_chars(rest.data(), rest.data() + rest.size(), *found);
    if (end.ec != std::errc()) return false;
    return rest.remove_prefix(static_cast<std::size_t>(end.ptr - rest.data())), true;
  };
  char end = 0, sign = 0;
  unsigned bits = 0, storage = 0, shift = 0;
  if (!letter("lb", &end) || !word("e:") || !letter("su", &sign) || !number(&bits) || !word("/") || !number(&storage) || !word(">>") ||
      !number(&shift) || !rest.empty())
    return false;
  if ((storage != 8 && storage != 16 && storage != 32 && storage != 64) || bits == 0 || bits > storage || shift > storage - bits) return false;
  channel->bytes = storage / 8, channel->bits = bits, channel->shift = shift;
  channel->is_signed = sign == 's', channel->big_endian = end == 'b';
  return true;
}

std::size_t lay_out_scan(const std::string& folder, std::vector<IioChannel>* channels, std::string* why) {
  const std::string scan = folder + "/scan_elements";
  std::vector<IioChannel> on;
  for (const std::string& file : names_in(scan)) {
    double enabled = 0.0;
    if (!starts(file, "in_") || !ends(file, "_en") || !read_number(scan + "/" + file, &enabled) || enabled == 0.0) continue;
    IioChannel channel;
    channel.name = file.substr(3, file.size() - 6);
    if (!read_layout(scan, &channel)) return *why = "no usable type and index of " + channel.name + " in " + scan, 0;
    on.push_back(channel);
  }
  std::vector<std::uint64_t> order;  // index, and where in `on`
  for (std::size_t i = 0; i < on.size(); ++i) order.push_back(std::uint64_t{on[i].index} << 32 | i);
  std::sort(order.begin(), order.end());
  std::size_t size = 0, widest = 1;
  for (const std::uint64_t key : order) {
    const IioChannel& channel = on[key & 0xFFFFFFFF];
    size = (size + channel.bytes - 1) / channel.bytes * channel.bytes;
    for (IioChannel& ours : *channels)
      if (ours.name == channel.name) ours.at = static_cast<unsigned>(size);
    size += channel.bytes;
    widest = std::max<std::size_t>(widest, channel.bytes);
  }
  for (const IioChannel& ours : *channels)
    if (std::none_of(on.begin(), on.end(), [&](const IioChannel& c) { return c.name == ours.name; }))
      return *why = "channel " + ours.name + " is not switched on in " + scan, 0;
  return (size + widest - 1) / widest * widest;
}

double scan_value(const IioChannel& channel, const unsigned char* scan) {
  std::uint64_t word = 0;
  for (unsigned i = 0; i < channel.bytes; ++i)
    word = word << 8 | scan[channel.at + (channel.big_endian ? i : channel.bytes - 1 - i)];
  word >>= channel.shift;
  if (channel.bits < 64) word &= (std::uint64_t{1} << channel.bits) - 1;
  double raw = static_cast<double>(word);
  if (channel.is_signed) {
    const std::uint64_t sign = std::uint64_t{1} << (channel.bits - 1);
    raw = static_cast<double>(static_cast<std::int64_t>((word ^ sign) - sign));
  }
  return (raw + channel.offset) * channel.scale;
}

}  // namespace sanderling::tool
