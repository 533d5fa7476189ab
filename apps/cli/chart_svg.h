// Small plots as SVG elements inside a page: readable at the width of a phone, in both themes,
// exact numbers on hovering. Names and texts are any text, values finite.
#ifndef OCTET_APPS_CLI_CHART_SVG_H_
#define OCTET_APPS_CLI_CHART_SVG_H_

#include <optional>
#include <string>
#include <vector>

#include "exec/site_histogram.h"

namespace octet::cli {

// The rules that the plots need: the colours of up to kMaxSeries series, 0 being the reference.
extern const char* const kChartStyle;
inline constexpr int kMaxSeries = 8;

// The mark of a series, for a legend beside its name in a text.
std::string Swatch(int series);

// One row of a chart: a name, a value, and an interval about it.
struct ChartRow {
  std::string name;
  int series = 0;
  double value = 0, low = 0, high = 0;
  std::vector<double> parts;  // of a bar, summing to its value; empty: one
  std::string text;           // the value, as printed
  std::string title;          // on hovering
};
// Bars from zero with whiskers; none where low == high.
std::string BarChart(const std::string& label, const std::vector<ChartRow>& rows);
// Dots with whiskers; values above 0 for a logarithmic axis, where one that is not lies at its left
// end. `mark`: a dashed line there.
std::string DotChart(const std::string& label, const std::vector<ChartRow>& rows, bool logarithmic,
                     std::optional<double> mark);

// A value at each of the places of an axis that has names.
struct ChartLine {
  std::string name;
  int series = 0;
  struct Point {
    size_t place;
    double value, low, high;  // low == high: no whisker
    std::string title;
  };
  std::vector<Point> points;
};
// Lines over places, on a logarithmic axis of values.
std::string LineChart(const std::string& label, const std::string& x_name,
                      const std::string& y_name, const std::vector<std::string>& places,
                      const std::vector<ChartLine>& lines);

struct ChartPoint {
  std::string name;
  int series = 0;
  double x, y, low, high;  // low, high: of y
  std::string title;
};
// Points on a linear axis from zero and a logarithmic one; `mark`: a dashed line at that x, named.
std::string ScatterChart(const std::string& label, const std::string& x_name,
                         const std::string& y_name, const std::vector<ChartPoint>& points,
                         double mark, const std::string& mark_name);

// Counts on a logarithmic axis, the codes of the grid as a ruler below, dashed lines where values
// saturate.
std::string HistogramChart(const std::string& label, const SiteHistogram& h, int series);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_CHART_SVG_H_
