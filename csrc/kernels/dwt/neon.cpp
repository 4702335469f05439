#include "kernels/kernels.h"
#include "kernels/lanes/neon_steps.h"

#include "kernels/dwt/steps.inl"

namespace sanderling {

void dwt_neon(const DwtArgs& args) { args.wide ? dwt_steps<double>(args) : dwt_steps<float>(args); }

}  // namespace sanderling
