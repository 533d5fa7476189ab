// What the sections of a report are made of.
#ifndef OCTET_APPS_CLI_REPORT_PARTS_H_
#define OCTET_APPS_CLI_REPORT_PARTS_H_

#include <string>

#include <fmt/format.h>

#include "apps/cli/chart_svg.h"
#include "apps/cli/html.h"
#include "apps/cli/report_page.h"

namespace octet::cli {

// A heading, a sentence that explains, and what it is about.
inline std::string Section(const std::string& title, const std::string& sentence,
                           const std::string& content) {
  return fmt::format("<section>\n<h2>{}</h2>\n<p>{}</p>\n{}</section>\n", title, sentence, content);
}

inline std::string Figure(const std::string& caption, const std::string& content) {
  return fmt::format("<figure><figcaption>{}</figcaption>\n{}</figure>\n", caption, content);
}

inline std::string Charts(const std::string& figures) {
  return "<div class=\"charts\">\n" + figures + "</div>\n";
}

// The mark and the name of a model.
inline std::string ModelName(const ReportPage& page, size_t i) {
  return Swatch(static_cast<int>(i)) + " " + Escaped(page.names[i]);
}

// How a model was made: any text.
inline std::string RecipeName(const ReportPage& page, size_t i) {
  return i == 0 ? "float reference" : page.recipes[i].empty() ? "float" : page.recipes[i];
}

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_REPORT_PARTS_H_
