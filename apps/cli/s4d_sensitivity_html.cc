#include "apps/cli/s4d_sensitivity_html.h"

#include <algorithm>

#include <fmt/format.h>

#include "apps/cli/html.h"

namespace octet::cli {
namespace {

constexpr int kWidth = 220, kHeight = 120, kLeft = 30, kRight = 8, kTop = 8, kBottom = 22;

constexpr const char* kStyle = R"(
:root { --line-ink: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --line-ink: #6cb6ff; } }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(165px, 1fr)); gap: .8rem; }
.plots figure { margin: 0; }
svg { max-width: 100%; height: auto; }
.float { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 3 3; }
.curve { fill: none; stroke: var(--line-ink); stroke-width: 2; }
.point { fill: var(--line-ink); }
)";

// Accuracy over bits, one row of the table.
std::string Plot(const S4dSensitivity& s, const S4dSensitivity::Row& row) {
  const auto x = [&](size_t i) {
    const double span = kWidth - kLeft - kRight;
    const auto steps = static_cast<double>(std::max<size_t>(1, s.bits.size() - 1));
    return kLeft + span * static_cast<double>(i) / steps;
  };
  const auto y = [](double accuracy) { return kTop + (1 - accuracy) * (kHeight - kTop - kBottom); };
  std::string svg = fmt::format(
      "<figure><figcaption>{0}</figcaption><svg role=\"img\" aria-label=\"{0}: accuracy over "
      "bits\" width=\"{1}\" height=\"{2}\" viewBox=\"0 0 {1} {2}\">\n",
      Escaped(row.name), kWidth, kHeight);
  for (const double level : {0.0, 0.5, 1.0}) {
    svg += fmt::format(
        "<line class=\"axis\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
        "<text class=\"tick\" x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:.0f}</text>\n",
        kLeft, kWidth - kRight, y(level), kLeft - 4, y(level) + 3, 100 * level);
  }
  svg +=
      fmt::format("<line class=\"float\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>\n",
                  kLeft, kWidth - kRight, y(s.accuracy));
  std::string points, curve;
  for (size_t i = 0; i < s.bits.size(); ++i) {
    const S4dSensitivity::Cell& cell = row.cells[i];
    curve += fmt::format("{:.1f},{:.1f} ", x(i), y(cell.accuracy));
    points += fmt::format(
        "<circle class=\"point\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>{} bits: {:.1f} %, "
        "KL {:.3f}</title></circle><text class=\"tick\" x=\"{:.1f}\" y=\"{}\" "
        "text-anchor=\"middle\">{}</text>\n",
        x(i), y(cell.accuracy), s.bits[i], 100 * cell.accuracy, cell.kl, x(i), kHeight - 6,
        s.bits[i]);
  }
  return svg + fmt::format("<polyline class=\"curve\" points=\"{}\"/>\n{}</svg></figure>\n", curve,
                           points);
}

std::string Plots(const S4dSensitivity& s, bool published) {
  std::string html = "<div class=\"plots\">\n";
  for (const S4dSensitivity::Row& row : s.rows) {
    if (row.published == published) html += Plot(s, row);
  }
  return html + "</div>\n";
}

std::string TableOf(const S4dSensitivity& s) {
  std::string html = "<div class=\"scroll\"><table>\n<tr><th>quantized alone</th>";
  for (const int64_t bits : s.bits) {
    html += fmt::format("<th>{} bits</th>", bits);
  }
  for (const S4dSensitivity::Row& row : s.rows) {
    html += fmt::format("</tr>\n<tr><td>{}</td>", Escaped(row.name));
    for (const S4dSensitivity::Cell& cell : row.cells) {
      html += fmt::format("<td title=\"KL {:.4f}\">{:.1f}</td>", cell.kl, 100 * cell.accuracy);
    }
  }
  return html + "</tr>\n</table></div>\n";
}

}  // namespace

std::string S4dSensitivityHtml(const S4dSensitivity& s, const std::string& model) {
  return HtmlHead("Sensitivity of " + model, kStyle) +
         fmt::format(
             "<h1>Sensitivity of {}</h1>\n"
             "<p>Accuracy in % on {} images when one part alone is quantized, over its bits; "
             "dashed: "
             "in float, {:.1f} %.</p>\n"
             "<h2>What arXiv:2506.12480 quantizes in figure 2</h2>\n{}<h2>Octet's "
             "forms</h2>\n{}<h2>All "
             "numbers</h2>\n{}</body>\n</html>\n",
             Escaped(model), s.images, 100 * s.accuracy, Plots(s, true), Plots(s, false),
             TableOf(s));
}

}  // namespace octet::cli
