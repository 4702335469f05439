// Executes SDOT without asking first. Exit 0 with the right sum, 1 with a wrong one; SIGILL on a core without dotprod.
#include <arm_neon.h>

#include <cstdio>

int main(int argc, char**) {
  const int8x16_t ones = vdupq_n_s8(static_cast<signed char>(argc > 0));
  const int sum = vaddvq_s32(vdotq_s32(vdupq_n_s32(0), ones, ones));
  std::printf("sdot: %d\n", sum);
  return sum == 16 ? 0 : 1;
}
