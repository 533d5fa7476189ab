// How each axis lays values out over scales, for the tests of all observers.
#ifndef OCTET_QUANT_OBSERVERS_AXIS_CASES_TESTING_H_
#define OCTET_QUANT_OBSERVERS_AXIS_CASES_TESTING_H_

#include <vector>

#include "quant/observers/observer.h"

namespace octet {

struct AxisCase {
  ScaleAxis axis;
  int64_t scales, indices, rows, cols;
  int64_t (*slot)(const AxisCase& s, int64_t index, int64_t row, int64_t col);
};

inline std::vector<AxisCase> AxisCases() {
  return {
      {ScaleAxis::kTensor, 1, 2, 7, 6,
       [](const AxisCase&, int64_t, int64_t, int64_t) -> int64_t { return 0; }},
      // A node's site folded onto 3 groups of 2 channels each, and one scale per channel.
      {ScaleAxis::kColumn, 3, 1, 7, 6,
       [](const AxisCase&, int64_t, int64_t, int64_t col) { return col / 2; }},
      {ScaleAxis::kColumn, 6, 1, 7, 6,
       [](const AxisCase&, int64_t, int64_t, int64_t col) { return col; }},
      // x_scaled: head, then head_dim.
      {ScaleAxis::kColumn, 20, 4, 7, 5,
       [](const AxisCase& s, int64_t index, int64_t, int64_t col) { return index * s.cols + col; }},
      // States: head, then head_dim.
      {ScaleAxis::kRow, 20, 4, 5, 9,
       [](const AxisCase& s, int64_t index, int64_t row, int64_t) { return index * s.rows + row; }},
      // Scores: the group.
      {ScaleAxis::kIndex, 4, 4, 7, 7,
       [](const AxisCase&, int64_t index, int64_t, int64_t) { return index; }},
  };
}

}  // namespace octet
#endif  // OCTET_QUANT_OBSERVERS_AXIS_CASES_TESTING_H_
