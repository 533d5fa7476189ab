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

// The heat map and its legend alone, for other pages, and the rules that their style needs.
std::string SensitivityFigures(const Sensitivity& s);
extern const char* const kSensitivityStyle;

// "in_proj:4" of a matrix, "u_norm" of a site: the heading of an item's column.
std::string ColumnOf(const SensitivityItem& item);
}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_SENSITIVITY_HTML_H_
