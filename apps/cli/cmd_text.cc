#include "apps/cli/commands.h"
#include "apps/cli/term.h"

namespace octet::cli {

Status Run(const ShowText& c) {
  Print(c.text);
  return {};
}

}  // namespace octet::cli
