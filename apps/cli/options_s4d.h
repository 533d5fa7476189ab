// The group of commands `octet s4d`.
#ifndef OCTET_APPS_CLI_OPTIONS_S4D_H_
#define OCTET_APPS_CLI_OPTIONS_S4D_H_

#include "apps/cli/options.h"

namespace CLI {
class App;
}

namespace octet::cli {

// Parsing one of them sets *chosen, which outlives `app`.
void AddS4dCommands(CLI::App* app, Command* chosen);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_OPTIONS_S4D_H_
