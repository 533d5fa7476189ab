// Lowering of linears: integer sums, and the scale that their results get.
#ifndef OCTET_EDGE_LOWER_LINEAR_H_
#define OCTET_EDGE_LOWER_LINEAR_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "edge/integer_s4d.h"
#include "edge/sites.h"

namespace octet {

// A linear whose results have no scale yet.
struct IntegerSums {
  std::string site;
  IntegerLinear linear;        // without `scale`
  std::vector<double> unit;    // [1 or rows]: what 1 of a sum stands for
  std::vector<int64_t> bound;  // [rows]: |sum| for any codes of x

  // The largest |result| of row i.
  double Largest(size_t i) const {
    return unit[unit.size() == 1 ? 0 : i] * static_cast<double>(bound[i]);
  }
};

// Rows [begin, end) of the matrix with their biases (empty: none), for codes `x` in [low, high].
// kInvalidArgument, naming site and row, if an int32 could overflow at any point of a sum, in
// whatever order it is taken.
Result<IntegerSums> LowerSums(const std::string& site, const MatrixCodes& matrix,
                              const std::vector<float>& bias, int64_t begin, int64_t end,
                              const AffineCode& x, int32_t low, int32_t high);

// The linear with results in units of `unit`.
Result<IntegerLinear> WithUnit(IntegerSums sums, double unit);

}  // namespace octet
#endif  // OCTET_EDGE_LOWER_LINEAR_H_
