// Which board this is, by the device tree; the table is made from boards/*.toml at build time.
#pragma once
#include <string>

namespace sanderling::tool {

// This program's processor as uname names it; a bundle for another one cannot run here.
extern const char kMachine[];

// The profile's id, or "" where no profile fits. folder: the device tree's, /proc/device-tree.
std::string detect_board(const std::string& folder);

}  // namespace sanderling::tool
