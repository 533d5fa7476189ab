// Repeated measurements in three numbers.
#ifndef OCTET_EVAL_SPREAD_H_
#define OCTET_EVAL_SPREAD_H_

#include <algorithm>
#include <vector>

namespace octet {

// Zeros for what was not measured.
struct Spread {
  double median = 0, min = 0, max = 0;
};

inline Spread SpreadOf(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const size_t half = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {median, values.front(), values.back()};
}

}  // namespace octet
#endif  // OCTET_EVAL_SPREAD_H_
