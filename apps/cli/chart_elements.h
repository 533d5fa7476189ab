// The elements that plots are drawn with. Classes are those of kChartStyle.
#ifndef OCTET_APPS_CLI_CHART_ELEMENTS_H_
#define OCTET_APPS_CLI_CHART_ELEMENTS_H_

#include <string>

#include <fmt/format.h>

#include "apps/cli/html.h"

namespace octet::cli {

inline std::string Open(const std::string& label, double width, double height) {
  return fmt::format(
      "<svg class=\"chart\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {:.0f} {:.0f}\">\n",
      Escaped(label), width, height);
}

inline std::string Text(const char* style, double x, double y, const char* anchor,
                        const std::string& escaped) {
  return fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n",
                     style, x, y, anchor, escaped);
}

inline std::string Line(const char* style, double x1, double y1, double x2, double y2) {
  return fmt::format(
      "<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", style, x1,
      y1, x2, y2);
}

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_CHART_ELEMENTS_H_
