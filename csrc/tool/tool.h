// The verbs of sanderling-run; each returns the exit status.
#pragma once
#include "kernels/kernels.h"
#include "tool/options.h"

namespace sanderling::tool {

int run_score(const Options& options);
// Scoring a source that doesn't end by itself (docs/live.md).
int run_live(const Options& options);
int run_calibrate(const Options& options);
int run_selftest(const Options& options);
// `text ...`, which has a command line of its own (docs/text_core.md).
int run_text(int argc, char** argv);
// `bundle ...` and `slot ...`, which have a command line of their own (docs/slots.md).
int run_verb(int argc, char** argv);
// `guard ...`: starts a program, ends it when it gives no sign of life, feeds the hardware's watchdog while it does; returns the
// program's exit status, or 1 when it was ended (docs/flash.md).
int run_guard(int argc, char** argv);

// The first kernel whose bits differ between the two tables on generated input, or nullptr.
const char* first_unequal_kernel(const KernelTable& reference, const KernelTable& candidate);

}  // namespace sanderling::tool
