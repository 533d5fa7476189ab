#include "apps/cli/options_export.h"

#include <CLI/CLI.hpp>

#include "apps/cli/option_kinds.h"

namespace octet::cli {
namespace {

void ExportC(CLI::App* group, Command* chosen) {
  const auto [c, e] = AddCommand<ExportCCommand>(
      group, "c", "C99 in integers, for microcontrollers, of a quantized S4D classifier", chosen);
  AddModel(c, "MODEL", "quantized S4D model folder", &e.model);
  AddOutputFolder(c, &e.output);
  c->add_option("--name", e.name, "begins the names of files and functions")
      ->capture_default_str()
      ->type_name("NAME");
  AddCount(c, "--length", "frames of a usual sequence; test vectors go on for ten of them",
           &e.length, 1, 1000000);
  CLI::Option* mnist =
      c->add_option("--mnist", e.mnist,
                    "folder of idx files, to measure accuracy and tensors for the report")
          ->type_name("DIR");
  c->add_flag("--sample", e.sample, "the first test image among the test vectors")->needs(mnist);
  AddCount(c, "--limit", "with --mnist: first test images only; 0: all", &e.limit, 0);
  AddThreads(c, &e.threads);
}

}  // namespace

void AddExportCommands(CLI::App* app, Command* chosen) {
  CLI::App* group = app->add_subcommand("export", "models for other programs");
  group->require_subcommand(1);
  ExportC(group, chosen);
}

}  // namespace octet::cli
