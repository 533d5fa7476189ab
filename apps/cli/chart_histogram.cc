#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "apps/cli/chart_elements.h"
#include "apps/cli/chart_svg.h"

namespace octet::cli {
namespace {

constexpr double kWidth = 172, kHeight = 62, kRuler = 8;
constexpr double kTickPixels = 3;  // between neighbouring codes of the ruler

// Where positions lie: all bins where there is a grid, else as far as there are values.
struct Extent {
  double left, right;
  double X(double v) const { return kWidth * (std::clamp(v, left, right) - left) / (right - left); }
};

double Reach(const SiteHistogram& h) {
  return std::max({std::fabs(h.min), std::fabs(h.max), 1e-30});
}

Extent ExtentOf(const SiteHistogram& h) {
  const double end = h.left + h.width * SiteHistogram::kBins;
  if (h.grid) return {h.left, end};
  return {std::max(h.left, -1.05 * Reach(h)), std::min(end, 1.05 * Reach(h))};
}

std::string Counts(const SiteHistogram& h, const Extent& e, int series) {
  const double top = std::log1p(static_cast<double>(std::ranges::max(h.bins)));
  std::string inside, beyond;
  for (int i = 0; i < SiteHistogram::kBins; ++i) {
    const auto count = static_cast<double>(h.bins[static_cast<size_t>(i)]);
    if (count == 0) continue;
    const double from = h.left + i * h.width, to = from + h.width;
    const bool out = h.grid && (to <= h.grid->low || from >= h.grid->high);
    (out ? beyond : inside) +=
        fmt::format("M{0:.1f},{1:.1f}H{2:.1f}V{3:.1f}H{0:.1f}z", e.X(from),
                    kHeight * (1 - std::log1p(count) / top), e.X(to), kHeight);
  }
  std::string svg = fmt::format("<path class=\"counts s{}\" d=\"{}\"/>\n", series, inside);
  if (!beyond.empty()) svg += fmt::format("<path class=\"beyond\" d=\"{}\"/>\n", beyond);
  return svg;
}

// As many of the codes as can be told apart: every 2nd, 4th, 8th, ... from the middle.
std::string Ruler(const std::vector<double>& levels, const Extent& e) {
  if (levels.empty()) return "";
  const auto zero = static_cast<size_t>(
      std::ranges::min_element(levels, {}, [](double v) { return std::fabs(v); }) - levels.begin());
  size_t every = 1;
  while (static_cast<double>(levels.size() / every) > kWidth / kTickPixels) {
    every *= 2;
  }
  std::string ruler;
  for (size_t i = zero % every; i < levels.size(); i += every) {
    ruler += fmt::format("M{:.1f},{:.1f}v{:.0f}", e.X(levels[i]), kHeight + 1, kRuler - 2);
  }
  return fmt::format("<path class=\"level\" d=\"{}\"/>\n", ruler);
}

// The ends of the codes: in values where there is one scale.
std::string Limits(const SiteGrid& g, const Extent& e) {
  const auto text = [&](double v) {
    return g.min_scale == g.max_scale ? fmt::format("{:.3g}", v * static_cast<double>(g.max_scale))
                                      : fmt::format("{:.3g} steps", v);
  };
  std::string svg;
  for (const double end : {g.low, g.high}) {
    svg += Line("limit", e.X(end), 0, e.X(end), kHeight + kRuler);
  }
  const double y = kHeight + kRuler + 11;
  return svg + Text("tick", std::max(0.0, e.X(g.low) - 8), y, "start", text(g.low)) +
         Text("tick", std::min(kWidth, e.X(g.high) + 8), y, "end", text(g.high));
}

}  // namespace

std::string HistogramChart(const std::string& label, const SiteHistogram& h, int series) {
  const Extent e = ExtentOf(h);
  std::string svg = Open(label, kWidth, kHeight + kRuler + 14) + Counts(h, e, series) +
                    Line("axis", 0, kHeight, kWidth, kHeight);
  if (h.grid) {
    svg += Ruler(h.grid->levels, e) + Limits(*h.grid, e);
  } else {
    const double reach = Reach(h), y = kHeight + 13;
    svg += Text("tick", e.X(-reach), y, "start", fmt::format("{:.3g}", -reach)) +
           Text("tick", e.X(0), y, "middle", "0") +
           Text("tick", e.X(reach), y, "end", fmt::format("{:.3g}", reach));
  }
  return svg + "</svg>\n";
}

}  // namespace octet::cli
