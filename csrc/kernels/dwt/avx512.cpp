#include "kernels/kernels.h"
// 256-bit registers: memory bounds the transform, and wider ones would leave 8 to 15 channels without a register.
#include "kernels/lanes/avx2_steps.h"

#include "kernels/dwt/steps.inl"

namespace sanderling {

void dwt_avx512(const DwtArgs& args) { args.wide ? dwt_steps<double>(args) : dwt_steps<float>(args); }

}  // namespace sanderling
