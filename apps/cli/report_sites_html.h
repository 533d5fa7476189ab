// The parts of a report that show what passes the sites.
#ifndef OCTET_APPS_CLI_REPORT_SITES_HTML_H_
#define OCTET_APPS_CLI_REPORT_SITES_HTML_H_

#include <string>

#include "apps/cli/report_page.h"

namespace octet::cli {

// A table of sites and models; "" where no site of any model has a static scale.
std::string SaturationTable(const ReportPage& page);
// Histograms by block and model; "" where there are none.
std::string ActivationPanels(const ReportPage& page);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_REPORT_SITES_HTML_H_
