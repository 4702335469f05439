// Reads and copies in registers of WIDTH bytes; the including file defines WIDTH.
#include <cstddef>

namespace {

typedef int vector __attribute__((vector_size(WIDTH), may_alias));

inline void read_memory(const void* from, std::size_t bytes) {
  const vector* p = static_cast<const vector*>(from);
  for (std::size_t i = 0; i < bytes / WIDTH; i += 8) {
#pragma GCC unroll 8
    for (std::size_t j = 0; j < 8; ++j) {
      const vector v = p[i + j];
      __asm__ volatile("" ::REGISTER(v));  // loaded, whatever happens to it
    }
  }
}

inline void copy_memory(const void* from, void* to, std::size_t bytes) {
  const vector* p = static_cast<const vector*>(from);
  vector* q = static_cast<vector*>(to);
  for (std::size_t i = 0; i < bytes / WIDTH; i += 8) {
#pragma GCC unroll 8
    for (std::size_t j = 0; j < 8; ++j) q[i + j] = p[i + j];
    __asm__ volatile("" ::: "memory");
  }
}

}  // namespace
