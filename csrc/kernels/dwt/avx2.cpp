#include "kernels/kernels.h"
#include "kernels/lanes/avx2_steps.h"

#include "kernels/dwt/steps.inl"

namespace sanderling {

void dwt_avx2(const DwtArgs& args) { args.wide ? dwt_steps<double>(args) : dwt_steps<float>(args); }

}  // namespace sanderling
