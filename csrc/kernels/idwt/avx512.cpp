#include "kernels/kernels.h"
// 256-bit registers: memory bounds the transform, and wider ones would leave 8 to 15 channels without a register.
#include "kernels/lanes/avx2_steps.h"

#include "kernels/idwt/steps.inl"

namespace sanderling {

void idwt_avx512(const IdwtArgs& args) { args.wide ? idwt_steps<double>(args) : idwt_steps<float>(args); }

}  // namespace sanderling
