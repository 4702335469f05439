// Typed errors without exceptions.
#pragma once
#include "../model/engine.h"

namespace sanderling {

// Fills *error (nullptr is fine) and returns false, so that a check reads `return fail(...)`. The message is printf's; bytes that
// are not UTF-8 or not printable become '?', whatever a hostile file put into a name.
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
bool fail(Error* error, Status status, const char* format, ...);

}  // namespace sanderling
