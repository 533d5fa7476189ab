// The command `octet report`.
#ifndef OCTET_APPS_CLI_OPTIONS_REPORT_H_
#define OCTET_APPS_CLI_OPTIONS_REPORT_H_

#include "apps/cli/options.h"

namespace CLI {
class App;
}

namespace octet::cli {

// Parsing it sets *chosen, which outlives `app`.
void AddReportCommand(CLI::App* app, Command* chosen);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_OPTIONS_REPORT_H_
