#include "bench/machine.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include <sys/utsname.h>
#include <unistd.h>

namespace sanderling::bench {
namespace {

// What the system says, or what the smallest boards have.
std::size_t cache(int name, std::size_t otherwise) {
  const long found = sysconf(name);
  return found > 0 ? static_cast<std::size_t>(found) : otherwise;
}

std::size_t l1_size() { return cache(_SC_LEVEL1_DCACHE_SIZE, 32u << 10); }
std::size_t l2_size() { return cache(_SC_LEVEL2_CACHE_SIZE, 512u << 10); }
std::size_t l3_size() { return cache(_SC_LEVEL3_CACHE_SIZE, 0); }

std::string processor() {
  std::string name = "unknown";
  std::FILE* file = std::fopen("/proc/cpuinfo", "r");
  char line[256];
  while (file && std::fgets(line, sizeof line, file)) {
    const char* colon = std::strchr(line, ':');
    if (!colon || (std::strncmp(line, "model name", 10) != 0 && std::strncmp(line, "CPU part", 8) != 0)) continue;
    name.assign(colon + 2);
    name.erase(std::remove_if(name.begin(), name.end(), [](char c) { return c == '"' || c == '\\' || c < ' '; }), name.end());
    break;
  }
  if (file) std::fclose(file);
  return name;
}

}  // namespace

Memory::Memory()
    : total_(std::min<std::size_t>(std::max<std::size_t>(2 * l3_size(), 64u << 20), 1u << 30)),
      bytes_{l1_size() / 2 / 2048 * 2048, l2_size() / 2 / 2048 * 2048, 8u << 20} {
  data_ = static_cast<std::uint8_t*>(std::aligned_alloc(4096, total_));
  if (data_ == nullptr) std::abort();
  std::memset(data_, 1, total_);
}

std::uint8_t* Memory::take(std::size_t level) {
  if (level + 1 < n_levels) return data_;
  at_ = at_ + 2 * bytes_[level] > total_ ? 0 : at_ + bytes_[level];
  return data_ + at_;
}

Memory::~Memory() { std::free(data_); }

void write_machine(std::FILE* out) {
  utsname system;
  if (uname(&system) != 0) std::strcpy(system.machine, "unknown");
  std::fprintf(out, "\"cpu\": \"%s\", \"arch\": \"%s\", \"l1_bytes\": %zu, \"l2_bytes\": %zu, \"l3_bytes\": %zu, \"compiler\": \"%s\"",
               processor().c_str(), system.machine, l1_size(), l2_size(), l3_size(), __VERSION__);
}

}  // namespace sanderling::bench
