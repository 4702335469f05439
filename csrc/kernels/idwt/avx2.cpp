#include "kernels/kernels.h"
#include "kernels/lanes/avx2_steps.h"

#include "kernels/idwt/steps.inl"

namespace sanderling {

void idwt_avx2(const IdwtArgs& args) { args.wide ? idwt_steps<double>(args) : idwt_steps<float>(args); }

}  // namespace sanderling
