// What `octet report` found, for its page and for programs.
#ifndef OCTET_APPS_CLI_REPORT_PAGE_H_
#define OCTET_APPS_CLI_REPORT_PAGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/cli/continuation.h"
#include "base/json.h"
#include "eval/paired.h"
#include "eval/report_data.h"
#include "eval/task_results.h"
#include "eval/windows.h"
#include "quant/sensitivity.h"

namespace octet::cli {

// Of one model on zero-shot tasks.
struct ReportAccuracy {
  std::vector<TaskReport> tasks;
  std::optional<PairedReport> paired;  // with the reference; nothing for the reference itself
};

struct ReportPage {
  // By model, the float reference first.
  std::vector<std::string> names, folders;
  std::vector<std::string> recipes;  // "" of a float model
  ReportData data;
  std::string text;         // what quality was measured on: a file's name, or who wrote it
  std::string calibration;  // the same of what sites and sensitivity were observed on
  WindowOptions windows;
  int64_t dropped = 0;                   // tokens of the text that fill no window
  std::vector<ReportAccuracy> accuracy;  // by model, of the same tasks; empty: none
  std::string isa;
  int threads = 1;
  int repeats = 0;  // of speeds
  std::string prompt;
  std::vector<Continuation> samples;  // greedy, by model; empty: none
  std::optional<Sensitivity> sensitivity;
  std::string sensitivity_recipe;
  std::vector<std::string> left_out;  // sentences on what the page lacks
};

// A page that needs nothing else, light or dark as the reader's system is; see README.md for its
// sections. Names and texts are any text.
std::string ReportHtml(const ReportPage& page);
Json ReportJson(const ReportPage& page);

// What a reader wants to know first: a sentence about a model, in parts around its name.
struct Verdict {
  std::string before, model, after;
};
// The smallest model that is surely within 1 % of the float perplexity, the closest to float, the
// smallest, the fastest, where the intervals tell; and those for which nothing speaks. Fewer than 6
// windows of text tell no two models apart.
std::vector<Verdict> Verdicts(const ReportPage& page);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_REPORT_PAGE_H_
