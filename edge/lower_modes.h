// The coefficients of a recurrence as integers, with the proof that its sums do not overflow.
#ifndef OCTET_EDGE_LOWER_MODES_H_
#define OCTET_EDGE_LOWER_MODES_H_

#include <complex>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "edge/integer_s4d.h"

namespace octet {

// A mode in units of codes: x' = A x + b u, Y = Re c x'.
struct FloatMode {
  std::complex<double> A, b, c;
};

// What must hold of the sums of all heads, [heads] each of `modes` modes.
struct FloatModes {
  std::string site;              // for errors
  std::vector<FloatMode> modes;  // [heads, modes]
  std::vector<int64_t> most_u;   // [heads]: the largest |u|, in codes less the zero point
  int32_t most_state = 0;
};

// Sets packed, plain_because, wide, A and B of `layer`, and k, b_shift and near_one of its heads,
// one for each of `most_u`, in the first of these forms in which no sum overflows and no pole is
// moved by more than a sixteenth of its distance from the unit circle: packed in 32 bits, plain in
// 32 bits, packed in 64, and, wherever poles go, plain in 64. In each, k is the largest that allows
// it. kInvalidArgument, naming head and mode, where even 64 bits overflow.
Status LowerModes(const FloatModes& modes, IntegerLayer* layer);

}  // namespace octet
#endif  // OCTET_EDGE_LOWER_MODES_H_
