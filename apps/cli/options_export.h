// The group of commands `octet export`.
#ifndef OCTET_APPS_CLI_OPTIONS_EXPORT_H_
#define OCTET_APPS_CLI_OPTIONS_EXPORT_H_

#include "apps/cli/options.h"

namespace CLI {
class App;
}

namespace octet::cli {

// Parsing one of them sets *chosen, which outlives `app`.
void AddExportCommands(CLI::App* app, Command* chosen);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_OPTIONS_EXPORT_H_
