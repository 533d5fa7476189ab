// The part of a report about zero-shot tasks.
#ifndef OCTET_APPS_CLI_REPORT_ACCURACY_HTML_H_
#define OCTET_APPS_CLI_REPORT_ACCURACY_HTML_H_

#include <string>

#include "apps/cli/report_page.h"

namespace octet::cli {

// "" where accuracy was not measured.
std::string AccuracySection(const ReportPage& page);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_REPORT_ACCURACY_HTML_H_
