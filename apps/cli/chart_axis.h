// Axes of plots: where values lie and what stands at their ticks.
#ifndef OCTET_APPS_CLI_CHART_AXIS_H_
#define OCTET_APPS_CLI_CHART_AXIS_H_

#include <string>
#include <vector>

namespace octet::cli {

// Maps values to [from, to] of a drawing, which may run backwards.
class ChartAxis {
 public:
  // About `low` to `high`, widened to round numbers; of equal ones, and of those not above 0 where
  // it is logarithmic, something around them.
  static ChartAxis Linear(double low, double high, double from, double to);
  static ChartAxis Logarithmic(double low, double high, double from, double to);

  // Values beyond the ends lie at the ends.
  double At(double value) const;

  struct Tick {
    double value;
    std::string text;
  };
  const std::vector<Tick>& ticks() const { return ticks_; }

 private:
  double Scaled(double value) const;
  bool logarithmic_ = false;
  double low_ = 0, high_ = 1, from_ = 0, to_ = 1;
  std::vector<Tick> ticks_;
};

// "0.25", "12000", "3e-4".
std::string TickText(double value);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_CHART_AXIS_H_
