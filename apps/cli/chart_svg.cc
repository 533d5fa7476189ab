#include "apps/cli/chart_svg.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "apps/cli/chart_axis.h"
#include "apps/cli/chart_elements.h"
#include "apps/cli/html.h"
#include "apps/cli/term.h"

namespace octet::cli {
namespace {

constexpr double kWidth = 340;  // a phone's
constexpr double kRow = 34;     // of a chart of rows: a line of text and a bar
constexpr double kLeft = 40, kTop = 20, kBottom = 36, kPlotHeight = 190;
constexpr double kNames = 108;  // right of lines, for their names
constexpr double kLine = 13;    // between neighbouring names
constexpr size_t kNameLetters = 16, kRowLetters = 40;

// At most `letters` of any text, escaped.
std::string Shortened(const std::string& text, size_t letters) {
  const std::string line = Printable(text);
  size_t seen = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool starts = (static_cast<unsigned char>(line[i]) & 0xc0) != 0x80;
    if (starts && ++seen == letters && Printable(line.substr(i)).size() > 4) {
      return Escaped(line.substr(0, i)) + "…";
    }
  }
  return Escaped(line);
}

// A mark of its own shape for each series, about (x, y).
std::string Mark(int series, double x, double y) {
  constexpr const char* kShapes[] = {"M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z",
                                     "M-3.6,-3.6h7.2v7.2h-7.2z",
                                     "M0,-4.6l4.4,7.8h-8.8z",
                                     "M0,-5l5,5l-5,5l-5,-5z",
                                     "M0,4.6l4.4,-7.8h-8.8z",
                                     "M-5,-1.6h3.4v-3.4h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4z",
                                     "M-4.6,0l2.3,-4h4.6l2.3,4l-2.3,4h-4.6z",
                                     "M-5,-2.4h10v4.8h-10z"};
  return fmt::format("<path class=\"mark s{}\" transform=\"translate({:.1f},{:.1f})\" d=\"{}\"/>\n",
                     series, x, y, kShapes[series]);
}

// An interval along x or y, with caps, on a border that shows it on a bar too.
std::string Whisker(double x1, double y1, double x2, double y2) {
  constexpr double kCap = 3;
  const bool across = y1 == y2;
  const double cx = across ? 0 : kCap, cy = across ? kCap : 0;
  const std::string path = fmt::format(
      "M{:.1f},{:.1f}L{:.1f},{:.1f}M{:.1f},{:.1f}L{:.1f},{:.1f}M{:.1f},{:.1f}L{:.1f},{:.1f}", x1,
      y1, x2, y2, x1 - cx, y1 - cy, x1 + cx, y1 + cy, x2 - cx, y2 - cy, x2 + cx, y2 + cy);
  return fmt::format("<path class=\"halo\" d=\"{0}\"/><path class=\"whisker\" d=\"{0}\"/>\n", path);
}

std::string Titled(const std::string& title, const std::string& elements) {
  return fmt::format("<g><title>{}</title>{}</g>\n", Escaped(title), elements);
}

// The name and the value of a row; what is drawn of it lies below.
std::string RowText(const ChartRow& r, double y) {
  const size_t letters = kRowLetters - std::min(kRowLetters - 8, r.text.size());
  return Text("name", 0, y + 12, "start", Shortened(r.name, letters)) +
         Text("value", kWidth, y + 12, "end", Escaped(r.text));
}

// Where names beside places `wanted` go so that none covers another.
std::vector<double> Spread(const std::vector<double>& wanted, double low, double high) {
  std::vector<size_t> order(wanted.size());
  for (size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
  }
  std::ranges::stable_sort(order, {}, [&](size_t i) { return wanted[i]; });
  std::vector<double> places(wanted);
  double next = low;
  for (const size_t i : order) {
    places[i] = std::max(places[i], next);
    next = places[i] + kLine;
  }
  double limit = high;
  for (size_t k = order.size(); k-- > 0;) {
    places[order[k]] = std::min(places[order[k]], limit);
    limit = places[order[k]] - kLine;
  }
  return places;
}

// The axis of values to the left, with lines across up to `right`.
std::string LeftAxis(const ChartAxis& y, double right, const std::string& name) {
  std::string svg = Text("tick", 0, 10, "start", Escaped(name));
  for (const ChartAxis::Tick& t : y.ticks()) {
    svg += Line("axis", kLeft, y.At(t.value), right, y.At(t.value)) +
           Text("tick", kLeft - 4, y.At(t.value) + 3, "end", t.text);
  }
  return svg;
}

}  // namespace

// Blue, vermilion, green, purple and so on of colour-blind-safe palettes, darkened or lightened to
// at least 4.5:1 on the page.
const char* const kChartStyle = R"(
:root { --s0: #57606a; --s1: #0b5cad; --s2: #b83a08; --s3: #0b7261; --s4: #9d2c83; --s5: #7d5a00; --s6: #1a6f8f; --s7: #6b4fc4; --beyond: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --s0: #9aa4af; --s1: #6cb6ff; --s2: #ff9d5c; --s3: #4fd1b5; --s4: #f19ad9; --s5: #e3c04d; --s6: #7fd3ee; --s7: #b8a5ff; --beyond: #ff8a80; }
}
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); }
.s4 { --c: var(--s4); } .s5 { --c: var(--s5); } .s6 { --c: var(--s6); } .s7 { --c: var(--s7); }
.chart { display: block; width: 100%; height: auto; overflow: visible; }
.chart text { font-variant-numeric: tabular-nums; }
.chart .value { font-weight: 600; }
.bar { fill: var(--c); }
.part1 { fill-opacity: .55; } .part2 { fill-opacity: .25; }
.mark { fill: var(--c); stroke: var(--page); stroke-width: 1; paint-order: stroke; }
.curve { fill: none; stroke: var(--c); stroke-width: 2; }
.error { stroke: var(--c); stroke-width: 1; }
.halo { fill: none; stroke: var(--page); stroke-width: 3.5; }
.whisker { fill: none; stroke: var(--ink); stroke-width: 1.3; }
.limit { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 4 3; }
.level { stroke: var(--quiet); stroke-width: .7; }
.lead { stroke: var(--line); stroke-width: 1; }
.counts { fill: var(--c); fill-opacity: .8; }
.beyond { fill: var(--beyond); }
.swatch { display: inline-block; width: 12px; height: 12px; vertical-align: -1px; }
)";

std::string Swatch(int series) {
  return "<svg class=\"swatch\" viewBox=\"-6 -6 12 12\" aria-hidden=\"true\">" +
         Mark(series, 0, 0) + "</svg>";
}

std::string BarChart(const std::string& label, const std::vector<ChartRow>& rows) {
  double top = 0;
  for (const ChartRow& r : rows) {
    top = std::max({top, r.value, r.high});
  }
  const auto x = [&](double value) { return top > 0 ? kWidth * value / top : 0; };
  std::string svg = Open(label, kWidth, kRow * static_cast<double>(rows.size()));
  double y = 0;
  for (const ChartRow& r : rows) {
    std::string bars;
    double from = 0;
    const std::vector<double> parts = r.parts.empty() ? std::vector<double>{r.value} : r.parts;
    for (size_t i = 0; i < parts.size(); ++i) {
      bars += fmt::format(
          "<rect class=\"bar part{} s{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
          "height=\"9\"/>",
          i, r.series, x(from), y + 18, x(parts[i]));
      from += parts[i];
    }
    if (r.low < r.high) bars += Whisker(x(r.low), y + 22.5, x(r.high), y + 22.5);
    svg += RowText(r, y) + Titled(r.title, bars);
    y += kRow;
  }
  return svg + "</svg>\n";
}

std::string DotChart(const std::string& label, const std::vector<ChartRow>& rows, bool logarithmic,
                     std::optional<double> mark) {
  double low = 1e300, high = -1e300;
  const auto widen = [&](double value) {
    if (logarithmic && value <= 0) return;
    low = std::min(low, value);
    high = std::max(high, value);
  };
  for (const ChartRow& r : rows) {
    widen(r.value);
    widen(r.low);
    widen(r.high);
  }
  if (mark) widen(*mark);
  if (low > high) low = high = 1e-3;
  constexpr double kFrom = 8, kTo = kWidth - 14;
  const ChartAxis axis = logarithmic ? ChartAxis::Logarithmic(low, high, kFrom, kTo)
                                     : ChartAxis::Linear(low, high, kFrom, kTo);
  const double bottom = kRow * static_cast<double>(rows.size()) + 2;
  std::string svg = Open(label, kWidth, bottom + 18);
  for (const ChartAxis::Tick& t : axis.ticks()) {
    svg += Text("tick", axis.At(t.value), bottom + 13, "middle", t.text);
  }
  double y = 0;
  for (const ChartRow& r : rows) {
    std::string dot;
    svg += Line("axis", kFrom, y + 23, kTo, y + 23);
    for (const ChartAxis::Tick& t : axis.ticks()) {
      svg += Line("axis", axis.At(t.value), y + 18, axis.At(t.value), y + 28);
    }
    if (mark) svg += Line("limit", axis.At(*mark), y + 15, axis.At(*mark), y + 31);
    if (r.low < r.high) dot = Whisker(axis.At(r.low), y + 23, axis.At(r.high), y + 23);
    svg += RowText(r, y) + Titled(r.title, dot + Mark(r.series, axis.At(r.value), y + 23));
    y += kRow;
  }
  return svg + "</svg>\n";
}

std::string LineChart(const std::string& label, const std::string& x_name,
                      const std::string& y_name, const std::vector<std::string>& places,
                      const std::vector<ChartLine>& lines) {
  double low = 1e300, high = 0;
  for (const ChartLine& l : lines) {
    for (const ChartLine::Point& p : l.points) {
      for (const double v : {p.value, p.low, p.high}) {
        if (v > 0) low = std::min(low, v);
        high = std::max(high, v);
      }
    }
  }
  const double right = kWidth - kNames, bottom = kTop + kPlotHeight;
  const ChartAxis y = ChartAxis::Logarithmic(low > high ? 0 : low, high, bottom, kTop);
  const double step = (right - kLeft - 12) / std::max(1.0, static_cast<double>(places.size()) - 1);
  const auto x = [&](size_t place) { return kLeft + 6 + step * static_cast<double>(place); };
  std::string svg = Open(label, kWidth, bottom + kBottom) + LeftAxis(y, right, y_name);
  const size_t every = places.size() > 7 ? 2 : 1;
  for (size_t i = (places.size() + every - 1) % every; i < places.size(); i += every) {
    svg += Text("tick", x(i), bottom + 13, "middle", Escaped(places[i]));
  }
  svg += Text("tick", (kLeft + right) / 2, bottom + 28, "middle", Escaped(x_name));
  std::vector<double> ends;
  for (const ChartLine& l : lines) {
    ends.push_back(l.points.empty() ? bottom : y.At(l.points.back().value));
  }
  const std::vector<double> names = Spread(ends, kTop, bottom);
  for (size_t k = 0; k < lines.size(); ++k) {
    const ChartLine& l = lines[k];
    std::string curve, dots;
    for (const ChartLine::Point& p : l.points) {
      curve += fmt::format("{:.1f},{:.1f} ", x(p.place), y.At(p.value));
      std::string dot = Mark(l.series, x(p.place), y.At(p.value));
      if (p.low < p.high) {
        dot = fmt::format(
                  "<line class=\"error s{}\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" "
                  "y2=\"{:.1f}\"/>",
                  l.series, x(p.place), x(p.place), y.At(p.low), y.At(p.high)) +
              dot;
      }
      dots += Titled(p.title, dot);
    }
    svg += fmt::format("<polyline class=\"curve s{}\" points=\"{}\"/>\n{}", l.series, curve, dots);
    svg += Line("lead", right - 2, ends[k], right + 8, names[k]) +
           Text("name", right + 11, names[k] + 4, "start", Shortened(l.name, kNameLetters));
  }
  return svg + "</svg>\n";
}

std::string ScatterChart(const std::string& label, const std::string& x_name,
                         const std::string& y_name, const std::vector<ChartPoint>& points,
                         double mark, const std::string& mark_name) {
  double low = 1e300, high = 0, wide = mark;
  for (const ChartPoint& p : points) {
    for (const double v : {p.y, p.low, p.high}) {
      if (v > 0) low = std::min(low, v);
      high = std::max(high, v);
    }
    wide = std::max(wide, p.x);
  }
  const double right = kWidth - 12, bottom = kTop + kPlotHeight;
  const ChartAxis y = ChartAxis::Logarithmic(low > high ? 0 : low, high, bottom, kTop);
  const ChartAxis x = ChartAxis::Linear(0, wide, kLeft, right);
  std::string svg = Open(label, kWidth, bottom + kBottom) + LeftAxis(y, right, y_name);
  for (const ChartAxis::Tick& t : x.ticks()) {
    svg += Text("tick", x.At(t.value), bottom + 13, "middle", t.text);
  }
  svg += Text("tick", (kLeft + right) / 2, bottom + 28, "middle", Escaped(x_name));
  svg += Line("limit", x.At(mark), kTop, x.At(mark), bottom) +
         Text("tick", x.At(mark) - 4, bottom - 6, "end", Shortened(mark_name, kNameLetters));
  std::vector<double> wanted;
  for (const ChartPoint& p : points) {
    wanted.push_back(y.At(p.y));
  }
  const std::vector<double> names = Spread(wanted, kTop + 6, bottom - 16);
  for (size_t i = 0; i < points.size(); ++i) {
    const ChartPoint& p = points[i];
    const double at = x.At(p.x);
    std::string dot;
    if (p.low < p.high) dot = Whisker(at, y.At(p.low), at, y.At(p.high));
    svg += Titled(p.title, dot + Mark(p.series, at, y.At(p.y)));
    const bool left = at > (kLeft + right) / 2;
    svg += Text("name", at + (left ? -9 : 9), names[i] + 4, left ? "end" : "start",
                Shortened(p.name, kNameLetters + 6));
  }
  return svg + "</svg>\n";
}

}  // namespace octet::cli
