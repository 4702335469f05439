// Counts heap allocations of a test program and of the library in it. Include in the one source file of a program that is linked with
// -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=posix_memalign.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <new>

inline bool counting = false;
inline std::size_t allocations = 0;  // while counting

// Every allocation of this program and of the library passes here: operator new below, C's functions by the linker's --wrap.
void* operator new(std::size_t n) { return std::malloc(n); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return std::malloc(n); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
extern "C" {
void* __real_malloc(std::size_t n);
void* __real_calloc(std::size_t n, std::size_t size);
void* __real_realloc(void* p, std::size_t n);
int __real_posix_memalign(void** p, std::size_t align, std::size_t n);
void* __wrap_malloc(std::size_t n) {
  allocations += counting;
  return __real_malloc(n);
}
void* __wrap_calloc(std::size_t n, std::size_t size) {
  allocations += counting;
  return __real_calloc(n, size);
}
void* __wrap_realloc(void* p, std::size_t n) {
  allocations += counting;
  return __real_realloc(p, n);
}
int __wrap_posix_memalign(void** p, std::size_t align, std::size_t n) {
  allocations += counting;
  return __real_posix_memalign(p, align, n);
}
}
