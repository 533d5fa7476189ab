// What `octet reproduce` found, for people and for programs.
#ifndef OCTET_APPS_CLI_METHOD_REPORT_H_
#define OCTET_APPS_CLI_METHOD_REPORT_H_

#include <span>
#include <string>
#include <vector>

#include "apps/cli/method_grid.h"

namespace octet::cli {

struct MethodReport {
  std::string command;             // that makes the report again
  std::vector<std::string> texts;  // their names
  std::vector<ModelResults> models;
  std::vector<OrderResult> orders;
};

std::string ToMarkdown(const MethodReport& report);
Json ToJson(const MethodReport& report);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_METHOD_REPORT_H_
