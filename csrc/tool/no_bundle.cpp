// Stands in for bundle.cpp where the build found no libsodium.
#include "core/error.h"
#include "tool/system.h"
#include "tool/tool.h"

namespace sanderling::tool {

int run_verb(int, char** argv) {
  Error error;
  fail(&error, Status::argument, "expected a runner with libsodium for the verb %s, found one built without it; build it where libsodium-dev is",
       argv[1]);
  return report(error);
}

}  // namespace sanderling::tool
