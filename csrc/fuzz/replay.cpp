// Runs a fuzz target over files and folders (sorted), for compilers without libFuzzer and for the committed corpus.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <string>
#include <sys/stat.h>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

bool replay_file(const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  if (!file) return false;
  std::vector<std::uint8_t> bytes;
  std::uint8_t part[4096];
  for (std::size_t got; (got = std::fread(part, 1, sizeof part, file)) > 0;) bytes.insert(bytes.end(), part, part + got);
  const bool good = std::ferror(file) == 0;
  std::fclose(file);
  // A copy of exactly this size: a read beyond the end is beyond the allocation too.
  std::uint8_t* const exact = static_cast<std::uint8_t*>(std::malloc(bytes.empty() ? 1 : bytes.size()));
  if (!good || !exact) return std::free(exact), false;
  if (!bytes.empty()) std::memcpy(exact, bytes.data(), bytes.size());
  LLVMFuzzerTestOneInput(exact, bytes.size());
  std::free(exact);
  return true;
}

// The number of files run, or -1.
int replay(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return -1;
  if (!S_ISDIR(info.st_mode)) return replay_file(path) ? 1 : -1;
  dirent** entries = nullptr;
  const int n = scandir(path.c_str(), &entries, nullptr, alphasort);
  int total = n < 0 ? -1 : 0;
  for (int i = 0; i < n; ++i) {
    if (total >= 0 && entries[i]->d_name[0] != '.') {
      const int more = replay(path + "/" + entries[i]->d_name);
      total = more < 0 ? -1 : total + more;
    }
    std::free(entries[i]);
  }
  std::free(entries);
  return total;
}

}  // namespace

int main(int argc, char** argv) {
  int total = 0;
  for (int i = 1; i < argc; ++i) {
    const int more = replay(argv[i]);
    if (more < 0) {
      std::fprintf(stderr, "replay: expected a readable file or folder, found %s; check the path\n", argv[i]);
      return 1;
    }
    total += more;
  }
  if (total == 0) {
    std::fprintf(stderr, "replay: expected at least one input, found none; give files or folders\n");
    return 1;
  }
  std::printf("%d inputs replayed\n", total);
  return 0;
}
