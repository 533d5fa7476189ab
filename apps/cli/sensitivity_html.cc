#include "apps/cli/sensitivity_html.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "apps/cli/html.h"

namespace octet::cli {
namespace {

constexpr int kCellWidth = 44, kCellHeight = 24, kLeft = 64, kTop = 96;

std::string RowName(int layer) {
  return layer < 0 ? "outside" : fmt::format("block {}", layer);
}

// Maps KL to 0 .. 1 by its logarithm.
class HeatScale {
 public:
  explicit HeatScale(const Sensitivity& s) {
    for (const SensitivityItem& i : s.items) {
      if (i.kl > 0) high_ = std::max(high_, i.kl);
    }
    low_ = high_;
    for (const SensitivityItem& i : s.items) {
      if (i.kl > 0) low_ = std::min(low_, i.kl);
    }
    // What is a million times smaller than the largest does not matter.
    low_ = std::max(low_, high_ * 1e-6);
  }
  double Heat(double kl) const {
    if (kl <= low_) return 0;
    return std::log(kl / low_) / std::log(high_ / low_);
  }
  double At(double heat) const { return low_ * std::pow(high_ / low_, heat); }

 private:
  double low_ = 0, high_ = 1e-30;
};

// The ink that is at least 4.5:1 on the cell's colour changes at another heat in the dark.
const char* InkClass(double heat) {
  return heat > 0.74 ? " hot" : heat > 0.61 ? " warm" : "";
}

std::string Cell(int x, int y, double heat, const std::string& number, const std::string& title) {
  return fmt::format(
      "<g><rect class=\"cell\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" "
      "fill-opacity=\"{:.3f}\"><title>{}</title></rect>"
      "<text class=\"number{}\" x=\"{}\" y=\"{}\">{}</text></g>\n",
      x, y, kCellWidth, kCellHeight, heat, title, InkClass(heat), x + kCellWidth / 2, y + 16,
      number);
}

std::string TitleOf(const SensitivityItem& i) {
  std::string text = fmt::format("{}, {}: KL {:.3e} (standard error {:.1e}) nats per token",
                                 RowName(i.layer), ColumnOf(i), i.kl, i.kl_error);
  if (i.kind != SensitivityItem::Kind::kSite) {
    text += fmt::format("; {} bytes, {} in fp16", i.bytes, i.f16_bytes);
  }
  return Escaped(text);
}

std::string HeatMap(const Sensitivity& s, const std::vector<std::string>& columns,
                    const HeatScale& scale) {
  const int width = kLeft + static_cast<int>(columns.size()) * kCellWidth + 40;
  const int height = kTop + (s.layers + 1) * kCellHeight + 8;
  std::string svg = fmt::format(
      "<figure class=\"scroll\"><svg role=\"img\" aria-label=\"KL by block and part\" "
      "width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\">\n",
      width, height);
  for (size_t c = 0; c < columns.size(); ++c) {
    const int x = kLeft + static_cast<int>(c) * kCellWidth + kCellWidth / 2;
    svg += fmt::format("<text transform=\"translate({},{}) rotate(-50)\">{}</text>\n", x, kTop - 6,
                       Escaped(columns[c]));
  }
  const auto top = [](int layer) { return kTop + (layer + 1) * kCellHeight; };
  for (int layer = -1; layer < s.layers; ++layer) {
    svg += fmt::format("<text x=\"0\" y=\"{}\">{}</text>\n", top(layer) + 16, RowName(layer));
  }
  for (const SensitivityItem& i : s.items) {
    const auto c = std::ranges::find(columns, ColumnOf(i)) - columns.begin();
    svg += Cell(kLeft + static_cast<int>(c) * kCellWidth, top(i.layer), scale.Heat(i.kl),
                ShortNumber(i.kl), TitleOf(i));
  }
  return svg + "</svg></figure>\n";
}

std::string Legend(const HeatScale& scale) {
  constexpr int kSteps = 7;
  std::string svg = fmt::format(
      "<figure class=\"scroll\"><svg role=\"img\" aria-label=\"legend\" width=\"{0}\" "
      "height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\">\n",
      kSteps * kCellWidth + 2, kCellHeight + 2);
  for (int i = 0; i < kSteps; ++i) {
    const double heat = static_cast<double>(i) / (kSteps - 1);
    svg += Cell(1 + i * kCellWidth, 1, heat, ShortNumber(scale.At(heat)),
                fmt::format("KL {:.2e} nats per token", scale.At(heat)));
  }
  return svg + "</svg></figure>\n";
}

}  // namespace

const char* const kSensitivityStyle = R"(
:root { --heat: #8f2d0e; --number: #000000; }
@media (prefers-color-scheme: dark) { :root { --heat: #ff9d5c; --number: #ffffff; } }
.cell { fill: var(--heat); stroke: var(--line); stroke-width: .5; }
.number { fill: var(--number); text-anchor: middle; font-size: 11px; pointer-events: none; }
.hot { fill: #ffffff; }
@media (prefers-color-scheme: dark) { .hot, .warm { fill: #000000; } }
)";

std::string ColumnOf(const SensitivityItem& item) {
  return item.kind == SensitivityItem::Kind::kMatrix ? fmt::format("{}:{}", item.name, item.bits)
                                                     : item.name;
}

std::string SensitivityFigures(const Sensitivity& s) {
  std::vector<std::string> columns;
  for (const SensitivityItem& i : s.items) {
    if (std::ranges::find(columns, ColumnOf(i)) == columns.end()) columns.push_back(ColumnOf(i));
  }
  const HeatScale scale(s);
  return Legend(scale) + HeatMap(s, columns, scale);
}

std::string SensitivityHtml(const Sensitivity& s, const std::string& model,
                            const std::string& recipe) {
  std::string html = HtmlHead("Sensitivity of " + model, kSensitivityStyle);
  html += fmt::format(
      "<h1>Sensitivity of {}</h1>\n"
      "<p>Mean KL divergence, in nats per token, of the model from itself in float when one part "
      "alone is quantized. Parts as in recipe {}; in_proj:4 is that matrix in 4 bits. "
      "{} tokens in {} pieces of text.</p>\n<p>Colour is logarithmic in KL:</p>\n",
      Escaped(model), Escaped(recipe), s.tokens, s.documents);
  return html + SensitivityFigures(s) + "</body>\n</html>\n";
}

}  // namespace octet::cli
