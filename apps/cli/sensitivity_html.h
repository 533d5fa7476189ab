// A heat map of sensitivities as one HTML file.
#ifndef OCTET_APPS_CLI_SENSITIVITY_HTML_H_
#define OCTET_APPS_CLI_SENSITIVITY_HTML_H_

#include <string>

#include "quant/sensitivity.h"

namespace octet::cli {

// A page that needs nothing else: a row for each block and one for what is outside, a column for
// each part, darker where KL is larger, on a logarithmic scale. Light or dark as the reader's
// system is; exact numbers appear on hovering. `model` and `recipe` are any text.
std::string SensitivityHtml(const Sensitivity& s, const std::string& model,
                            const std::string& recipe);

// "in_proj:4" of a matrix, "u_norm" of a site: the heading of an item's column.
std::string ColumnOf(const SensitivityItem& item);
// "3e-4".
std::string ShortNumber(double value);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_SENSITIVITY_HTML_H_
