// The table of all models at the top of a report.
#ifndef OCTET_APPS_CLI_REPORT_SUMMARY_HTML_H_
#define OCTET_APPS_CLI_REPORT_SUMMARY_HTML_H_

#include <string>

#include "apps/cli/report_page.h"

namespace octet::cli {

// A row for each model; the best of a column is marked where one direction is better.
std::string SummaryTable(const ReportPage& page);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_REPORT_SUMMARY_HTML_H_
