#include "apps/cli/options_report.h"

#include <CLI/CLI.hpp>

#include "apps/cli/option_kinds.h"

namespace octet::cli {
namespace {

void AddTexts(CLI::App* c, ReportCommand* r) {
  c->add_option("--text", r->text.path,
                "text to measure quality on (plain or .jsonl), or self: the reference writes it")
      ->capture_default_str()
      ->type_name("FILE");
  AddCount(c, "--window", "tokens that a fresh state sees; what is left at the end is not scored",
           &r->text.window, 2);
  AddCount(c, "--max-tokens", "use only the first tokens of the text; 0: all", &r->text.max_tokens,
           0);
  c->add_option("--calibration", r->calibration,
                "text to observe activations and sensitivity on, or self")
      ->capture_default_str()
      ->type_name("FILE");
  AddCount(c, "--samples", "pieces of that text; 4 times as many others calibrate the sensitivity",
           &r->samples, 2, 1 << 20);
  AddCount(c, "--length", "tokens of a piece", &r->length, 2, 1 << 24);
  c->add_option(
       "--items", r->items,
       "what octet evaluate tasks wrote about a model; repeated, one file for each model in "
       "their order, before them that of a --reference that is not one of them")
      ->allow_extra_args(false)
      ->type_name("FILE.jsonl");
}

}  // namespace

void AddReportCommand(CLI::App* app, Command* chosen) {
  const auto r = std::make_shared<ReportCommand>();
  CLI::App* c = app->add_subcommand("report", "compare models on one page of HTML");
  c->callback([r, chosen] { *chosen = *r; });
  c->add_option("MODEL", r->models, "model folders; the first is the float reference")
      ->required()
      ->type_name("");
  c->add_option("--reference", r->reference, "folder of the float reference, if not the first")
      ->type_name("DIR");
  c->add_option("--output", r->output, "page to write")->required()->type_name("FILE.html");
  c->add_option("--json", r->json, "also write the numbers as a JSON object; -: standard output")
      ->type_name("FILE.json");
  AddTexts(c, r.get());
  c->add_option("--recipe", r->recipe,
                "whose rotation and sites the sensitivity is measured with; default: "
                "ssdi8-plus-w8a8, of a Mamba-1 quamba")
      ->type_name("NAME");
  c->add_option("--blocks", r->layers, "whose activations to draw; default: first, middle, last")
      ->delimiter(',')
      ->check(Between(0, 1 << 20))
      ->allow_extra_args(false)
      ->type_name("N,N");
  c->add_option("--prompt", r->prompt, "text that every model continues")
      ->capture_default_str()
      ->type_name("TEXT");
  AddCount(c, "-n,--tokens", "tokens to write at most", &r->count, 1, 1 << 16);
  AddCount(c, "--repeats", "measurements of each speed", &r->repeats, 1, 100000);
  c->add_option("--skip", r->skip, "what to leave out: speed, sensitivity, activations, samples")
      ->delimiter(',')
      ->check(CLI::IsMember({"speed", "sensitivity", "activations", "samples"}).description(""))
      ->allow_extra_args(false)
      ->type_name("PART,PART");
  AddSeed(c, &r->seed);
  AddThreads(c, &r->threads);
}

}  // namespace octet::cli
