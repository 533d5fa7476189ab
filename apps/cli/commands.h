// The commands. Each prints its result to standard output and everything else to standard error;
// the Status it returns becomes the exit code (main.cc).
#ifndef OCTET_APPS_CLI_COMMANDS_H_
#define OCTET_APPS_CLI_COMMANDS_H_

#include "apps/cli/options.h"
#include "base/status.h"

namespace octet::cli {

Status Run(const ShowText& c);
Status Run(const QuantizeCommand& c);
Status Run(const PerplexityCommand& c);
Status Run(const DriftCommand& c);
Status Run(const ContextCommand& c);
Status Run(const TasksCommand& c);
Status Run(const CompareCommand& c);
Status Run(const GenerateCommand& c);
Status Run(const InspectCommand& c);
Status Run(const RecipesCommand& c);
Status Run(const BenchCommand& c);
Status Run(const DemoCommand& c);
Status Run(const SensitivityCommand& c);
Status Run(const ReproduceCommand& c);
Status Run(const S4dEvaluateCommand& c);
Status Run(const S4dTrainCommand& c);
Status Run(const S4dSensitivityCommand& c);
Status Run(const S4dQuantizeCommand& c);
Status Run(const S4dAllocateCommand& c);
Status Run(const S4dQatCommand& c);
Status Run(const S4dRecipesCommand& c);
Status Run(const ExportCCommand& c);
Status Run(const ReportCommand& c);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_COMMANDS_H_
