// What Linux's industrial I/O says about a device in sysfs (Documentation/ABI/testing/sysfs-bus-iio).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sanderling::tool {

// One input channel: value = (raw + offset) * scale, in the ABI's units (m/s^2, rad/s, mV, ...).
struct IioChannel {
  std::string name;              // of in_NAME_raw: accel_x, voltage0, ...
  double scale = 1.0, offset = 0.0;
  std::string file;              // in_NAME_raw, or in_NAME_input, which needs no scale
  // Of a scan, in bytes and bits (scan_elements/in_NAME_type).
  unsigned index = 0, at = 0, bytes = 0, bits = 0, shift = 0;
  bool is_signed = false, big_endian = false;
};

// A small file's text without its line end; false with errno.
bool read_attribute(const std::string& path, std::string* text);
bool write_attribute(const std::string& path, std::string_view text);

// The folder of the device `target`: its number's name (iio:device0) or what its file `name` says. Empty: none.
std::string find_iio(const std::string& devices, const std::string& target);

// The channels `wanted` in that order, or all in the order of their names; false and `why` when one isn't there.
bool list_channels(const std::string& folder, const std::vector<std::string>& wanted, bool scan, std::vector<IioChannel>* channels,
                   std::string* why);

// `le:s12/16>>4`; false for what isn't of that form or repeats.
bool parse_scan_type(std::string_view type, IioChannel* channel);
// Places the channels that are switched on (all of `folder`'s scan_elements, a timestamp too) as the kernel packs them: in the order
// of their index, each at a multiple of its size; the size of a scan, or 0 and `why`.
std::size_t lay_out_scan(const std::string& folder, std::vector<IioChannel>* channels, std::string* why);
// The value of a channel in a scan.
double scan_value(const IioChannel& channel, const unsigned char* scan);

}  // namespace sanderling::tool
