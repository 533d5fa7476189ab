#include "apps/cli/context_html.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "apps/cli/html.h"

namespace octet::cli {
namespace {

constexpr double kWidth = 640, kPanel = 280, kLeft = 84, kRight = 36, kTop = 34, kBottom = 34;

constexpr const char* kStyle = R"(
:root { --a: #0b5cad; --b: #b3470f; }
@media (prefers-color-scheme: dark) { :root { --a: #6cb6ff; --b: #ffa657; } }
figure { max-width: 44rem; }
td { white-space: nowrap; }
figure svg { display: block; width: 100%; height: auto; }
text { font-size: 13px; }
@media (max-width: 40rem) { text { font-size: 18px; } }
.grid { stroke: var(--line); }
.quiet { fill: var(--quiet); }
.curve { fill: none; stroke-width: 1.8; }
.model { stroke: var(--a); fill: none; }
.reference { stroke: var(--b); fill: none; }
.curve.reference { stroke-width: 6; opacity: .5; }
.a { fill: var(--a); }
.b { fill: var(--b); }
)";

struct Point {
  double position;
  Estimate value;
};

std::string EstimateText(const Estimate& e, bool interval) {
  return interval ? fmt::format("{:.5g} [{:.5g}, {:.5g}]", e.value, e.low, e.high)
                  : fmt::format("{:.5g}", e.value);
}

bool Growing(const std::vector<ContextBucket>& buckets) {
  if (buckets.size() < 3) return false;
  return buckets[2].last - buckets[2].first > buckets[1].last - buckets[1].first;
}

// One diagram: places of positions and of values.
class Panel {
 public:
  Panel(const std::vector<ContextBucket>& buckets, double top, std::vector<Estimate> all)
      : growing_(Growing(buckets)), end_(static_cast<double>(buckets.back().last)), top_(top) {
    low_ = high_ = all.front().value;
    for (const Estimate& e : all) {
      low_ = std::min({low_, e.value, e.low});
      high_ = std::max({high_, e.value, e.high});
    }
    // A flat curve still needs some height.
    const double margin = std::max(0.06 * (high_ - low_), 1e-3 * std::abs(high_));
    low_ -= margin;
    high_ += margin;
    start_ = growing_ ? static_cast<double>(buckets.front().last) / 4 : 0;
  }

  double X(double position) const {
    const double share =
        growing_ ? std::log(position / start_) / std::log(end_ / start_) : position / end_;
    return kLeft + share * (kWidth - kLeft - kRight);
  }
  double Y(double value) const {
    return top_ + kTop + (high_ - value) / (high_ - low_) * (kPanel - kTop - kBottom);
  }

  std::string Grid(const std::string& title, const std::vector<ContextBucket>& buckets) const {
    std::string svg =
        fmt::format("<text x=\"{}\" y=\"{:.1f}\">{}</text>\n", kLeft, top_ + 18, Escaped(title));
    const double step = Step();
    for (double v = std::ceil(low_ / step) * step; v <= high_; v += step) {
      svg += fmt::format(
          "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
          "<text class=\"quiet\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.6g}</text>\n",
          kLeft, kWidth - kRight, Y(v), Y(v), kLeft - 8, Y(v) + 4, v);
    }
    double labelled = 0;
    for (const ContextBucket& b : buckets) {
      const double x = X(static_cast<double>(b.last)), bottom = top_ + kPanel - kBottom;
      if (x - labelled < 64) continue;
      labelled = x;
      svg += fmt::format(
          "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>"
          "<text class=\"quiet\" x=\"{0:.1f}\" y=\"{3:.1f}\" text-anchor=\"middle\">{4}</text>\n",
          x, top_ + kTop, bottom, bottom + 16, b.last);
    }
    return svg;
  }

  // Circles of that radius, and bars where there are `intervals`.
  std::string Curve(const std::vector<Point>& points, const char* style, int radius,
                    bool intervals) const {
    std::string svg, path;
    for (const Point& p : points) {
      const double x = X(p.position), y = Y(p.value.value);
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : " L", x, y);
      if (intervals) {
        svg += fmt::format(
            "<path class=\"{0}\" d=\"M{1:.1f} {2:.1f} V{3:.1f} M{4:.1f} {2:.1f} h6 M{4:.1f} "
            "{3:.1f} "
            "h6\"/>",
            style, x, Y(p.value.low), Y(p.value.high), x - 3);
      }
      svg += fmt::format(
          "<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"><title>{:.0f} tokens: "
          "{}</title></circle>\n",
          style, x, y, radius, p.position, EstimateText(p.value, intervals));
    }
    return fmt::format("<path class=\"curve {}\" d=\"{}\"/>\n", style, path) + svg;
  }

 private:
  // 1, 2 or 5 times a power of ten, for about five lines.
  double Step() const {
    const double rough = (high_ - low_) / 5;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor * power >= rough) return factor * power;
    }
    return 10 * power;
  }

  bool growing_;
  double end_, top_, start_ = 0, low_ = 0, high_ = 0;
};

std::vector<Point> Points(const std::vector<ContextBucket>& buckets,
                          Estimate ContextBucket::*member) {
  std::vector<Point> points;
  for (const ContextBucket& b : buckets) {
    points.push_back({static_cast<double>(b.first + b.last) / 2, b.*member});
  }
  return points;
}

std::vector<Estimate> Values(const std::vector<Point>& a, const std::vector<Point>& b) {
  std::vector<Estimate> values;
  for (const auto* points : {&a, &b}) {
    for (const Point& p : *points) {
      values.push_back(p.value);
    }
  }
  return values;
}

std::string Diagram(const ContextReport& r) {
  const std::vector<Point> model = Points(r.buckets, &ContextBucket::perplexity);
  const std::vector<Point> reference = r.has_reference
                                           ? Points(r.buckets, &ContextBucket::reference_perplexity)
                                           : std::vector<Point>();
  const double height = r.has_reference ? 2 * kPanel : kPanel;
  std::string svg = fmt::format(
      "<figure><svg role=\"img\" aria-label=\"perplexity by position\" viewBox=\"0 0 {0} {1}\">\n",
      kWidth, height);
  const Panel top(r.buckets, 0, Values(model, reference));
  svg += top.Grid("perplexity, by tokens before", r.buckets);
  if (r.has_reference) svg += top.Curve(reference, "reference", 6, r.has_intervals);
  svg += top.Curve(model, "model", 3, r.has_intervals);
  if (r.has_reference) {
    const std::vector<Point> ratio = Points(r.buckets, &ContextBucket::ratio);
    const Panel bottom(r.buckets, kPanel, Values(ratio, {{0, {1, 1, 1}}}));
    svg += bottom.Grid("perplexity of the model over that of the reference", r.buckets);
    svg += bottom.Curve(ratio, "model", 3, r.has_intervals);
  }
  return svg + "</svg></figure>\n";
}

std::string NumbersTable(const ContextReport& r) {
  std::string html =
      "<div class=\"scroll\"><table>\n<tr><th scope=\"col\">tokens</th><th scope=\"col\">"
      "perplexity</th>";
  if (r.has_reference) {
    html +=
        "<th scope=\"col\">reference</th><th scope=\"col\">ratio</th><th scope=\"col\">KL, "
        "nats</th>";
  }
  html += "</tr>\n";
  std::vector<Estimate ContextBucket::*> columns = {&ContextBucket::perplexity};
  if (r.has_reference) {
    columns.insert(columns.end(), {&ContextBucket::reference_perplexity, &ContextBucket::ratio,
                                   &ContextBucket::kl});
  }
  for (const ContextBucket& b : r.buckets) {
    html += fmt::format("<tr><td>{} to {}</td>", b.first, b.last - 1);
    for (const auto column : columns) {
      html += fmt::format("<td>{}</td>", EstimateText(b.*column, r.has_intervals));
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

}  // namespace

std::string ContextHtml(const ContextReport& report, const std::string& model,
                        const std::string& reference) {
  std::string html = HtmlHead("Perplexity by position of " + model, kStyle);
  html += fmt::format(
      "<h1>Perplexity by position of {}</h1>\n"
      "<p>{} segment{} of {} tokens, the state carried from the first to the last; {}</p>\n",
      Escaped(model), report.segments, report.segments == 1 ? "" : "s", report.buckets.back().last,
      report.has_intervals
          ? "bars and brackets are 95 % intervals over segments."
          : fmt::format("no intervals: they need at least {} segments.", kIntervalSegments));
  if (report.has_reference) {
    html += fmt::format(
        "<p><svg width=\"12\" height=\"12\"><circle class=\"a\" cx=\"6\" cy=\"6\" r=\"5\"/></svg> "
        "{} &nbsp; <svg width=\"12\" height=\"12\"><circle class=\"b\" cx=\"6\" cy=\"6\" "
        "r=\"5\"/></svg> reference {}, the wide line</p>\n",
        Escaped(model), Escaped(reference));
  }
  return html + Diagram(report) + NumbersTable(report) + "</body>\n</html>\n";
}

}  // namespace octet::cli
