// Lowering of the LayerNorms between blocks.
#ifndef OCTET_EDGE_LOWER_NORM_H_
#define OCTET_EDGE_LOWER_NORM_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "edge/integer_norm.h"

namespace octet {

struct FloatNorm {
  std::string site;
  std::vector<float> weight, bias;  // [H]
  float eps = 0;

  // The largest |result| of head h, whatever enters: no value is further from the mean of H values
  // than sqrt(H) standard deviations.
  double Largest(size_t h) const;
  // The smallest unit of the stream that `eps` allows: in smaller ones its square would not fit.
  double LeastUnit() const;
};

// Of a stream whose 1 stands for `unit`, at least LeastUnit(). kUnsupported, naming the site, for
// more than kMostNormedHeads heads; kInvalidArgument if a result could exceed 2^30.
Result<IntegerNorm> LowerNorm(const FloatNorm& norm, double unit);

}  // namespace octet
#endif  // OCTET_EDGE_LOWER_NORM_H_
