#include "apps/cli/roofline_svg.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include <fmt/format.h>

#include "apps/cli/html.h"

namespace octet::cli {
namespace {

constexpr double kWidth = 960, kHeight = 600, kLeft = 78, kRight = 24, kTop = 64, kBottom = 56;
constexpr double kDot = 4.5, kTextHeight = 14, kLetter = 6.6;  // of the labels' font, at most

constexpr const char* kStyle = R"(
svg { --page: #ffffff; --ink: #1b1f24; --quiet: #57606a; --line: #e3e7ec; --a: #0b5cad; --b: #b3470f; }
@media (prefers-color-scheme: dark) {
  svg { --page: #14171b; --ink: #e6e8eb; --quiet: #9aa4af; --line: #2a3038; --a: #6cb6ff; --b: #ffa657; }
}
.page { fill: var(--page); }
text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.title { font-size: 15px; font-weight: 600; }
.quiet { fill: var(--quiet); }
.grid { stroke: var(--line); }
.roof { stroke: var(--ink); stroke-width: 1.6; fill: none; }
.lead { stroke: var(--quiet); stroke-width: .8; }
.prefill { fill: var(--a); }
.decode { fill: var(--b); }
.label { paint-order: stroke; stroke: var(--page); stroke-width: 3px; }
)";

struct Box {
  double left, top, right, bottom;
  bool Overlaps(const Box& o) const {
    return left < o.right && o.left < right && top < o.bottom && o.top < bottom;
  }
};

struct Dot {
  double intensity, speed;  // operations per byte, operations per second
  std::string name, title;
  const char* style;
  double x = 0, y = 0;
};

std::vector<Dot> Dots(const std::vector<const BenchRow*>& rows) {
  std::vector<Dot> dots;
  for (const BenchRow* row : rows) {
    for (const Stage& s : row->stages->stages) {
      if (s.operations_per_token <= 0 || s.bytes_per_token <= 0 || s.us_per_token <= 0) continue;
      const double speed = 1e6 * s.operations_per_token / s.us_per_token;
      const std::string title = fmt::format(
          "{} of {}: {:.1f} % of the time, {:.3g} Gop/s, {:.3g} GB/s, {:.3g} operations per byte",
          s.name, TestName(*row), 100 * s.share, 1e-9 * speed,
          1e-3 * s.bytes_per_token / s.us_per_token, s.operations_per_token / s.bytes_per_token);
      dots.push_back({s.operations_per_token / s.bytes_per_token, speed, s.name, title,
                      row->test == BenchTest::kPrefill ? "prefill" : "decode"});
    }
  }
  return dots;
}

// Decades of both axes.
struct Axes {
  double low_x, high_x, low_y, high_y;
  double X(double v) const {
    return kLeft + (std::log10(v) - low_x) / (high_x - low_x) * (kWidth - kLeft - kRight);
  }
  double Y(double v) const {
    return kHeight - kBottom -
           (std::log10(v) - low_y) / (high_y - low_y) * (kHeight - kTop - kBottom);
  }
};

// All dots, the highest roof, and where it meets that of memory.
Axes MakeAxes(const std::vector<Dot>& dots, const Roof& roof) {
  const double peak = std::max(roof.f32_ops_per_s.median, roof.i8_ops_per_s.median);
  const double ridge = peak / roof.read_bytes_per_s.median;
  Axes a{std::log10(ridge), std::log10(ridge), std::log10(peak), std::log10(peak)};
  for (const Dot& d : dots) {
    a.low_x = std::min(a.low_x, std::log10(d.intensity));
    a.high_x = std::max(a.high_x, std::log10(d.intensity));
    a.low_y = std::min(a.low_y, std::log10(d.speed));
    a.high_y = std::max(a.high_y, std::log10(d.speed));
  }
  return {std::floor(a.low_x - 0.1), std::ceil(a.high_x + 0.1), std::floor(a.low_y - 0.1),
          std::ceil(a.high_y + 0.1)};
}

// "10 G" of 1e10.
std::string Decade(int power) {
  if (power < 0) return fmt::format("{:g}", std::pow(10.0, power));
  static constexpr const char* kUnits[] = {"", " k", " M", " G", " T", " P", " E"};
  const int unit = std::min(power / 3, 6);
  return fmt::format("{:g}{}", std::pow(10.0, power - 3 * unit), kUnits[unit]);
}

std::string Grid(const Axes& a) {
  std::string svg;
  for (int p = static_cast<int>(a.low_x); p <= static_cast<int>(a.high_x); ++p) {
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>"
        "<text class=\"quiet\" x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4}</text>\n",
        a.X(std::pow(10.0, p)), kTop, kHeight - kBottom, kHeight - kBottom + 18, Decade(p));
  }
  for (int p = static_cast<int>(a.low_y); p <= static_cast<int>(a.high_y); ++p) {
    const double y = a.Y(std::pow(10.0, p));
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text class=\"quiet\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
        kLeft, kWidth - kRight, y, y, kLeft - 8, y + 4, Decade(p));
  }
  return svg + fmt::format(
                   "<text class=\"quiet\" x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"middle\">"
                   "operations per byte moved</text>\n"
                   "<text class=\"quiet\" transform=\"translate(18 {:.0f}) rotate(-90)\" "
                   "text-anchor=\"middle\">operations per second</text>\n",
                   (kLeft + kWidth - kRight) / 2, kHeight - 14, (kTop + kHeight - kBottom) / 2);
}

Box TextBox(double x, double y, const std::string& text) {
  return {x - 2, y - kTextHeight + 3, x + kLetter * static_cast<double>(text.size()) + 2, y + 4};
}

// Along the line that leaves (x1, y1) at `angle`, above it.
std::string MemoryLabel(const std::string& text, double x1, double y1, double angle,
                        std::vector<Box>* taken) {
  constexpr double kStart = 12, kAbove = 6;
  for (size_t i = 0; i < text.size(); ++i) {
    const double along = kStart + kLetter * (static_cast<double>(i) + 0.5);
    const double x = x1 + along * std::cos(angle), y = y1 + along * std::sin(angle) - 8;
    taken->push_back({x - 9, y - 9, x + 9, y + 9});
  }
  return fmt::format("<text transform=\"translate({:.1f} {:.1f}) rotate({:.1f})\">{}</text>\n",
                     x1 + kStart * std::cos(angle) + kAbove * std::sin(angle),
                     y1 + kStart * std::sin(angle) - kAbove * std::cos(angle),
                     angle * 180 / std::numbers::pi, text);
}

bool Free(const Box& box, const std::vector<Box>& taken) {
  return std::ranges::none_of(taken, [&](const Box& b) { return b.Overlaps(box); });
}

// Keeps labels off a line.
void TakeLine(double x1, double y1, double x2, double y2, std::vector<Box>* taken) {
  const double length = std::hypot(x2 - x1, y2 - y1);
  for (double along = 0; along <= length; along += 4) {
    const double x = x1 + (x2 - x1) * along / length, y = y1 + (y2 - y1) * along / length;
    taken->push_back({x - 2, y - 2, x + 2, y + 2});
  }
}

std::string Line(double x1, double y1, double x2, double y2) {
  return fmt::format(
      "<line class=\"roof\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", x1, y1,
      x2, y2);
}

// Above or below its line, as far to the right as there is room.
std::string PeakLabel(const std::string& text, double left, double y, std::vector<Box>* taken) {
  const double width = kLetter * static_cast<double>(text.size());
  for (double x = kWidth - kRight - width; x > left; x -= 8) {
    for (const double base : {y - 6, y + 16}) {
      const Box box = TextBox(x, base, text);
      if (!Free(box, *taken)) continue;
      taken->push_back(box);
      return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", x, base, text);
    }
  }
  return "";
}

// The lines and their labels; what they cover is kept free of other labels.
std::string Roofs(const Axes& a, const Roof& roof, std::vector<Box>* taken) {
  const double bandwidth = roof.read_bytes_per_s.median;
  const double left = std::pow(10.0, a.low_x), right = std::pow(10.0, a.high_x);
  const double f32 = roof.f32_ops_per_s.median, i8 = roof.i8_ops_per_s.median;
  std::string svg;
  for (const double peak : {f32, i8}) {
    const double x = a.X(std::clamp(peak / bandwidth, left, right));
    svg += Line(x, a.Y(peak), a.X(right), a.Y(peak));
    TakeLine(x, a.Y(peak), a.X(right), a.Y(peak), taken);
  }
  // Memory: where it enters the plot to where it meets the higher peak.
  const double from = std::max(left, std::pow(10.0, a.low_y) / bandwidth);
  const double to = std::min(right, std::max(f32, i8) / bandwidth);
  const double x1 = a.X(from), y1 = a.Y(from * bandwidth), x2 = a.X(to), y2 = a.Y(to * bandwidth);
  svg += Line(x1, y1, x2, y2);
  TakeLine(x1, y1, x2, y2, taken);
  svg +=
      PeakLabel(fmt::format("int8: {:.4g} Gop/s", 1e-9 * i8), a.X(i8 / bandwidth), a.Y(i8), taken);
  svg += PeakLabel(fmt::format("fp32: {:.4g} Gop/s", 1e-9 * f32), a.X(f32 / bandwidth), a.Y(f32),
                   taken);
  return svg + MemoryLabel(fmt::format("memory: {:.3g} GB/s", 1e-9 * bandwidth), x1, y1,
                           std::atan2(y2 - y1, x2 - x1), taken);
}

struct Place {
  double x, y;
  const char* anchor;  // of the text at x: what is near the dot stays there in any font
  Box box;
};

// Where a label goes: near its dot, in one of 16 directions.
Place PlaceAt(const Dot& d, double away, int direction) {
  const double angle = direction * std::numbers::pi / 8;
  const double width = kLetter * static_cast<double>(d.name.size());
  const bool right = std::cos(angle) > 0.3, left = std::cos(angle) < -0.3;
  const double x = d.x + away * std::cos(angle), y = d.y + away * std::sin(angle) + 4;
  const double start = right ? x : left ? x - width : x - 0.5 * width;
  return {x, y, right ? "start" : left ? "end" : "middle", TextBox(start, y, d.name)};
}

bool Inside(const Box& b) {
  return b.left > kLeft && b.right < kWidth - kRight + 8 && b.top > kTop &&
         b.bottom < kHeight - kBottom;
}

// The nearest places that are free; a line leads to a dot that is far.
std::string Labels(std::vector<Dot> dots, std::vector<Box> taken) {
  std::ranges::sort(dots, {}, &Dot::y);
  std::string svg;
  for (const Dot& d : dots) {
    std::optional<Place> found;
    double away = 8;
    for (; away < kWidth && !found; away += 7) {
      for (int direction = 0; direction < 16 && !found; ++direction) {
        const Place place = PlaceAt(d, away, direction);
        if (Inside(place.box) && Free(place.box, taken)) found = place;
      }
    }
    if (!found) continue;
    taken.push_back(found->box);
    if (away > 22) {
      svg += fmt::format(
          "<line class=\"lead\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>", d.x,
          d.y, std::clamp(d.x, found->box.left, found->box.right),
          std::clamp(d.y, found->box.top, found->box.bottom));
    }
    svg += fmt::format(
        "<text class=\"label {}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n",
        d.style, found->x, found->y, found->anchor, Escaped(d.name));
  }
  return svg;
}

}  // namespace

std::string RooflineSvg(const std::string& title, const Roof& roof,
                        const std::vector<const BenchRow*>& rows) {
  std::vector<Dot> dots = Dots(rows);
  const Axes axes = MakeAxes(dots, roof);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-label=\"{0}\" width=\"{1}\" "
      "height=\"{2}\" viewBox=\"0 0 {1} {2}\">\n<style>{3}</style>\n"
      "<rect class=\"page\" width=\"{1}\" height=\"{2}\"/>\n"
      "<text class=\"title\" x=\"{4}\" y=\"24\">{0}</text>\n",
      Escaped(title), kWidth, kHeight, kStyle, kLeft);
  double x = kLeft;
  for (const BenchRow* row : rows) {
    const bool prefill = row->test == BenchTest::kPrefill;
    const std::string text =
        fmt::format("{}: {:.1f} tokens/s", TestName(*row), row->tokens_per_s.median);
    svg += fmt::format(
        "<circle class=\"{}\" cx=\"{:.1f}\" cy=\"44\" r=\"{}\"/>"
        "<text x=\"{:.1f}\" y=\"48\">{}</text>\n",
        prefill ? "prefill" : "decode", x + kDot, kDot, x + 16, text);
    x += 40 + kLetter * static_cast<double>(text.size());
  }
  svg += Grid(axes);
  std::vector<Box> taken;
  std::string circles;
  for (Dot& d : dots) {
    d.x = axes.X(d.intensity);
    d.y = axes.Y(d.speed);
    taken.push_back({d.x - kDot - 1, d.y - kDot - 1, d.x + kDot + 1, d.y + kDot + 1});
    circles += fmt::format(
        "<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"><title>{}</title></circle>\n",
        d.style, d.x, d.y, kDot, Escaped(d.title));
  }
  svg += Roofs(axes, roof, &taken) + circles;
  return svg + Labels(std::move(dots), std::move(taken)) + "</svg>\n";
}

}  // namespace octet::cli
