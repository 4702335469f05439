#include "kernels/kernels.h"
#include "kernels/lanes/neon_steps.h"

#include "kernels/idwt/steps.inl"

namespace sanderling {

void idwt_neon(const IdwtArgs& args) { args.wide ? idwt_steps<double>(args) : idwt_steps<float>(args); }

}  // namespace sanderling
