#include "apps/cli/chart_axis.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "apps/cli/html.h"

namespace octet::cli {
namespace {

constexpr int kLinearTicks = 4;  // about

// 1, 2 or 5 times a power of ten, at least `step`.
double RoundStep(double step) {
  const double power = std::pow(10.0, std::floor(std::log10(step)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= step * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

}  // namespace

std::string TickText(double value) {
  const double size = std::fabs(value);
  return size > 0 && size < 1e-2 ? ShortNumber(value) : fmt::format("{:.6g}", value);
}

ChartAxis ChartAxis::Linear(double low, double high, double from, double to) {
  // Ends that are equal, or so near that a double hardly has a step between them.
  if (!(high - low > 1e-12 * std::max(std::fabs(low), std::fabs(high)))) {
    const double around = std::max(std::fabs(low) * 1e-3, 1e-6);
    low -= around;
    high += around;
  }
  const double step = RoundStep((high - low) / kLinearTicks);
  ChartAxis axis;
  axis.from_ = from;
  axis.to_ = to;
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  axis.low_ = first * step;
  axis.high_ = last * step;
  for (double i = first; i <= last; ++i) {
    axis.ticks_.push_back({i * step, TickText(i * step)});
  }
  return axis;
}

ChartAxis ChartAxis::Logarithmic(double low, double high, double from, double to) {
  if (!(low > 0)) low = high > 0 ? high / 10 : 1e-3;
  high = std::max(high, low);
  ChartAxis axis;
  axis.logarithmic_ = true;
  axis.from_ = from;
  axis.to_ = to;
  const double first = std::floor(std::log10(low) + 1e-9);
  const double last = std::max(first + 1, std::ceil(std::log10(high) - 1e-9));
  axis.low_ = std::pow(10.0, first);
  axis.high_ = std::pow(10.0, last);
  for (double i = first; i <= last; ++i) {
    const double decade = std::pow(10.0, i);
    axis.ticks_.push_back({decade, TickText(decade)});
  }
  return axis;
}

double ChartAxis::Scaled(double value) const {
  value = std::clamp(value, low_, high_);
  return logarithmic_ ? std::log(value / low_) / std::log(high_ / low_)
                      : (value - low_) / (high_ - low_);
}

double ChartAxis::At(double value) const {
  return from_ + Scaled(value) * (to_ - from_);
}

}  // namespace octet::cli
